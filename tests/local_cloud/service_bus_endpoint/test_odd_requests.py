"""Requests to `$management` with anything in them are refused by name, and nothing fails inside."""

import asyncio
import uuid
from typing import Any

import pytest
from hypothesis import strategies as st

from local_cloud.broker.topology import Queue, QueueSettings, Subscription, Topic, Topology
from shared.kernel.entropy import SystemEntropy
from tests.kit.properties import FEW_AND_MANY, try_with
from tests.kit.service_bus import ALL, message, open_broker

pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
TOPOLOGY = Topology(
    queues=(Queue("orders"), Queue("sessions", QueueSettings(requires_session=True))),
    topics=(Topic("events", (Subscription("all"),)),),
)
OPERATIONS = (
    "renew-lock", "peek-message", "schedule-message", "cancel-scheduled-message",
    "receive-by-sequence-number", "update-disposition", "renew-session-lock", "get-session-state",
    "set-session-state", "get-message-sessions", "add-rule", "remove-rule", "enumerate-rules",
    "nothing",
)  # fmt: skip
FIELDS = (
    "lock-tokens", "from-sequence-number", "message-count", "messages", "sequence-numbers",
    "receiver-settle-mode", "disposition-status", "properties-to-modify", "session-id",
    "session-state", "skip", "top", "last-updated-time", "rule-name", "rule-description",
    "deadletter-reason",
)  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=20)
    | st.uuids()
    | st.sampled_from(["completed", "abandoned", "defered", "suspended"])
)
keys = st.sampled_from(["message", "sql-filter", "correlation-filter", "expression", "properties"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
PATHS = ("orders", "orders/$deadletterqueue", "sessions", ALL.lower(), "events", "absent")


def answered_or_refused(path: str, operation: str, body: dict[str, Any]) -> None:
    from local_cloud.service_bus_endpoint.conditions import refusal_of
    from local_cloud.service_bus_endpoint.management import Management

    async def main() -> None:
        broker = await open_broker(TOPOLOGY)
        await broker.send("orders", [message()])
        management = Management(broker, path, SystemEntropy())
        refusal = None
        try:
            await management.answer(f"com.microsoft:{operation}", body)
        except Exception as problem:  # noqa: BLE001  what it is, is looked at
            refusal = refusal_of(problem)
        await broker.stop()

        assert refusal is None or refusal.condition != "amqp:internal-error"

    asyncio.run(main())


@FEW_AND_MANY
def test_an_odd_request_is_answered_or_refused(examples: int) -> None:
    bodies = st.dictionaries(st.sampled_from(FIELDS), values, max_size=5)
    drawn = (st.sampled_from(PATHS), st.sampled_from(OPERATIONS), bodies)
    try_with(examples, answered_or_refused, *drawn)


SECTIONS = (0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78)
names = st.sampled_from(["x-opt-scheduled-enqueue-time", "x-opt-sequence-number", "x", "y"])
section_values = st.lists(scalars, max_size=13) | st.dictionaries(names | scalars, values) | values


def refused_or_received(sections: list[tuple[int, Any]]) -> None:
    from local_cloud.service_bus_endpoint.conditions import refusal_of
    from local_cloud.service_bus_endpoint.message_codec import read_message, written
    from local_cloud.service_bus_endpoint.sections import encoded_section, encoded_value, split

    async def main() -> None:
        broker = await open_broker(TOPOLOGY)
        refusal = None
        try:
            encoded = b"".join(
                encoded_section(code, encoded_value(each)) for code, each in sections
            )
        except Exception:  # noqa: BLE001  what cannot be encoded is not sent
            encoded = b""
        try:
            read = read_message(encoded, SystemEntropy())
            for entity in ("orders", "events"):
                await broker.send(entity, [read])
        except Exception as problem:  # noqa: BLE001  what it is, is looked at
            refusal = refusal_of(problem)
        for path in ("orders", ALL):
            for received in await broker.lock(path, 9):
                assert list(split(written(received)))
        await broker.stop()

        assert refusal is None or refusal.condition != "amqp:internal-error"

    asyncio.run(main())


@FEW_AND_MANY
def test_an_odd_message_is_refused_or_received(examples: int) -> None:
    sections = st.lists(st.tuples(st.sampled_from(SECTIONS), section_values), max_size=5)
    try_with(examples, refused_or_received, sections)


def test_an_annotation_that_no_receiver_could_be_told_is_refused() -> None:
    refused_or_received([(0x72, {"\x80": None})])


def test_a_lock_token_that_is_not_known_is_lost() -> None:
    from local_cloud.service_bus_endpoint.conditions import refusal_of
    from local_cloud.service_bus_endpoint.management import Management

    async def main() -> None:
        broker = await open_broker(TOPOLOGY)
        management = Management(broker, "orders", SystemEntropy())
        with pytest.raises(Exception, match="is not held") as caught:
            await management.answer("com.microsoft:renew-lock", {"lock-tokens": [uuid.UUID(int=7)]})
        await broker.stop()

        assert refusal_of(caught.value).condition == "com.microsoft:message-lock-lost"

    asyncio.run(main())
