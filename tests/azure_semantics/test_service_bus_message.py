"""What a function is given: field by field what the library decodes from the host's metadata.

Source: the protocol page, section 2 "Service Bus".
"""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessage, ServiceBusMessageInConverter

from local_cloud.broker.message import ReceivedMessage
from local_host.apps.configuration import load
from local_host.model import Binding, IndexedFunction
from local_host.service_bus import messages
from local_host.service_bus.settings import ServiceBusSettings, settings_of
from local_host.service_bus.trigger import output_sink
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service_bus import open_broker
from tests.kit.virtual_time import run_virtual

PLAIN = ReceivedMessage(
    queue=1,
    sequence_number=41,
    message_id="evt-1",
    body=b'{"a": 1}',
    subject="RuntimeTenantBound",
    content_type="application/json",
    correlation_id="corr-1",
    application_properties={"cs-tenant-id": "t1"},
    delivery_count=3,
    enqueued_at=1767225600.123456,
    expires_at=None,
    locked_until=1767225660.5,
    lock_token="0f7b9c3e-2f5e-4f3e-8d7e-0a4f5d6c7b8a",
)
BARE = ReceivedMessage(2, 1, "id", b"", "", "", "", {}, 1, 1767225600.0, 1767225690.0)
DEAD = ReceivedMessage(
    -1, 2, "id", b"\xff", "s", "c", "", {}, 11, 1767225600.0, None, 1767225660.0, "t", "Why", "so"
)
FIELDS = [
    name
    for name, member in vars(ServiceBusMessage).items()
    if isinstance(member, property) and name not in {"force_persistence", "metadata"}
]


def told_apart(given: ServiceBusMessage, decoded: ServiceBusMessage) -> dict[str, object]:
    return {
        name: (getattr(given, name), getattr(decoded, name))
        for name in FIELDS
        if getattr(given, name) != getattr(decoded, name)
    }


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(BARE, id="without-optional-fields"),
        pytest.param(DEAD, id="dead-letter"),
    ],
)
def test_one_message_is_what_the_library_decodes(received: ReceivedMessage) -> None:
    given = messages.one(received)

    decoded = ServiceBusMessageInConverter.decode(
        Datum(received.body, "bytes"),
        trigger_metadata=messages.metadata_of_one(received),
    )

    assert told_apart(given, decoded) == {}
    assert given.get_body() == decoded.get_body() == received.body
    assert given.metadata == decoded.metadata


def test_a_batch_is_what_the_library_decodes() -> None:
    batch = [PLAIN, BARE, DEAD]
    given = messages.many(batch)

    decoded = ServiceBusMessageInConverter.decode(
        Datum(SimpleNamespace(bytes=[each.body for each in batch]), "collection_bytes"),
        trigger_metadata=messages.metadata_of_many(batch),
    )

    assert [told_apart(*pair) for pair in zip(given, decoded, strict=True)] == [{}, {}, {}]
    assert len(given[0].metadata["UserPropertiesArray"]) == 3


def test_the_fields_have_the_types_that_code_in_azure_relies_on() -> None:
    given = messages.one(PLAIN)

    assert given.delivery_count == 3
    assert given.sequence_number == 41
    assert given.subject == given.label == "RuntimeTenantBound"
    assert given.user_properties == given.application_properties == {"cs-tenant-id": "t1"}
    assert given.enqueued_time_utc == datetime(2026, 1, 1, 0, 0, 0, 123456, UTC)
    assert given.expires_at_utc == datetime.max.replace(tzinfo=UTC)
    assert given.time_to_live is None
    assert messages.one(BARE).time_to_live == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("value", "body", "content_type"),
    [
        pytest.param("text", b"text", "text/plain", id="text"),
        pytest.param(b"\x00", b"\x00", "application/octet-stream", id="bytes"),
    ],
)
def test_an_output_sends_text_or_bytes(value: str | bytes, body: bytes, content_type: str) -> None:
    async def main() -> None:
        broker = await open_broker()
        binding = Binding("serviceBus", "out", "out", {"queueName": "orders"})
        function = IndexedFunction("f", "app", print, False, binding, [binding])

        await output_sink(broker, SeededEntropy(1))(binding, function, value)

        (received,) = await broker.lock("orders", 1)
        assert (received.body, received.content_type) == (body, content_type)
        await broker.stop()

    run_virtual(main())


def test_an_output_refuses_anything_else_and_an_unset_one_sends_nothing() -> None:
    async def main() -> None:
        broker = await open_broker()
        binding = Binding("serviceBus", "out", "out", {"queueName": "orders"})
        function = IndexedFunction("f", "app", print, False, binding, [binding])
        send = output_sink(broker, SeededEntropy(1))

        with pytest.raises(TypeError, match="got dict; a serviceBus output takes str or bytes"):
            await send(binding, function, {"a": 1})
        await send(binding, function, None)

        assert not await broker.lock("orders", 1)
        await broker.stop()

    run_virtual(main())


def test_settings_come_from_host_json_and_default_to_azure_s() -> None:
    section = {"prefetchCount": 5, "maxConcurrentCalls": 2, "maxBatchWaitTime": "00:00:10"}
    host = {"version": "2.0", "extensions": {"serviceBus": section}}

    assert settings_of(load("app", None, {}, host_json=json.loads('{"version": "2.0"}'))) == (
        ServiceBusSettings(0, 16, True, 300, 1000, 1, 30)
    )
    assert settings_of(load("app", None, {}, host_json=host)) == ServiceBusSettings(
        prefetch_count=5, max_concurrent_calls=2, max_batch_wait_s=10
    )
