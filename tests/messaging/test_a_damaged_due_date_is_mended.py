"""A document that no sweep would ever find again is found: its change feed mends its `dueAt`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

import shared.kernel.operation as operations
from function_apps.catalog.repository import SCANS
from function_apps.health.repository import TARGETS
from function_apps.secret_bindings.repository import BINDINGS
from shared.durable.operations import OPERATIONS
from shared.durable.recovery import Recovery
from shared.kernel.clock import Clock, isoformat, parse_instant
from shared.kernel.operation import HEARTBEAT_TIMEOUT, Operation
from shared.messaging.due_dates import DueDates
from shared.messaging.outbox import OUTBOX_TYPE
from shared.persistence.store import Create, Document, Partition, Replace
from tests.kit.golden_documents import FOLDER
from tests.kit.releases import deploy, ended, provisioned
from tests.kit.service import TENANT, Bench, bench
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

HOME: Final = Partition(TENANT, "abcdefghijkl")
MISSING: Final = object()
DAMAGES: Final[Mapping[str, Any]] = {
    "a-number": 5,
    "null": None,
    "missing": MISSING,
    "no-instant": "tomorrow",
    "without-an-offset": "2026-01-01T00:00:00",
    "in-thousands-of-years": "9999-12-31T23:59:59.000000Z",
    "a-list": ["2026-01-01T00:00:00.000000Z"],
}
damages = pytest.mark.parametrize("due_at", DAMAGES.values(), ids=DAMAGES.keys())


def damaged(body: Mapping[str, Any], due_at: Any) -> dict[str, Any]:
    """Return *body* with *due_at* in place of what was there."""
    rest = {name: value for name, value in body.items() if name != "dueAt"}
    return rest if due_at is MISSING else {**rest, "dueAt": due_at}


async def _swept(world: World) -> list[tuple[str, Document]]:
    """Return the documents that the sweeps of all services look for, each with its service."""
    return [
        (service, document)
        for service in world.services
        for document in await world.documents(service)
        if "dueAt" in document.body and document.body["type"] != OUTBOX_TYPE
    ]


async def _damage_all(world: World, due_at: Any) -> set[tuple[str, str]]:
    """Damage what sweeps look for; return the services and types of it."""
    swept = await _swept(world)
    for service, document in swept:
        body = damaged(document.body, due_at)
        replaced = Replace(document.id, body, document.etag)
        await world.services[service].store.batch(document.partition, [replaced])
    return {(service, document.body["type"]) for service, document in swept}


@pytest.mark.long
def test_what_the_sweeps_of_a_service_look_for_is_due_again_within_seconds() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            await ended(world, await deploy(world, await provisioned(world), "1"))
            await world.clock.sleep(60)
            damaged_ones, mended = [], []
            for due_at in DAMAGES.values():
                damaged_ones.append(await _damage_all(world, due_at))
                await world.clock.sleep(20)
                latest = isoformat(world.clock.now() + timedelta(hours=1))
                mended.append(
                    {
                        (service, document.body["type"])
                        for service, document in await _swept(world)
                        if parse_instant(document.body["dueAt"]) and document.body["dueAt"] < latest
                    }
                )
        finally:
            await world.stop()

        assert {("catalog", "watch"), ("health", "target")} <= damaged_ones[0]
        assert mended == damaged_ones == [damaged_ones[0]] * len(DAMAGES)

    run_virtual(main())


def test_operations_that_nobody_runs_are_started_again_and_end() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        try:
            store = world.services["environments"].store
            puts = [OPERATIONS.put(_operation(world.clock, n)) for n in range(len(DAMAGES))]
            for put, due_at in zip(puts, DAMAGES.values(), strict=True):
                await store.batch(HOME, [Create(put.id, damaged(put.body, due_at))])
            await world.clock.sleep(HEARTBEAT_TIMEOUT.total_seconds() + 60)
            kept = await store.read_many(HOME, [put.id for put in puts])
        finally:
            await world.stop()

        assert [OPERATIONS.decode(kept[put.id].body).is_terminal for put in puts] == [True] * len(
            puts
        )

    run_virtual(main())


def _operation(clock: Clock, number: int = 1) -> Operation:
    return operations.accept(
        f"op-environments-abcdefghijkl-{number:016d}",
        "ProvisionEnvironment",
        "/v1/runtime/environments/env-abcdefghijkl",
        "user:ann",
        "environments_apply_environment",
        {"tenantId": TENANT, "aggregateId": "env-abcdefghijkl"},
        clock.now(),
    )


async def _mended(at: Bench, document_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Store *body*, hand it to the one that mends, and return what is stored then."""
    store = at.service.store
    await store.batch(HOME, [Create(document_id, body)])
    codecs = {each.type_name: each for each in (BINDINGS, OPERATIONS, SCANS, TARGETS)}
    document = await store.read(HOME, document_id)
    assert document is not None
    await DueDates(store, at.service.clock, codecs).mend([document])
    after = await store.read(HOME, document_id)
    assert after is not None
    return after.body


@damages
def test_an_operation_that_has_ended_is_never_due(due_at: Any) -> None:
    async def main() -> None:
        at = bench("environments")
        over = OPERATIONS.put(_operation(at.service.clock).succeed({}, at.service.clock.now()))

        body = await _mended(at, over.id, damaged(over.body, due_at))

        assert body.get("dueAt") is None

    run_virtual(main())


@damages
def test_an_outbox_row_that_could_not_leave_is_due_at_once(due_at: Any) -> None:
    async def main() -> None:
        at = bench("environments")
        row = {"type": OUTBOX_TYPE, "kind": "start"}

        body = await _mended(at, "outbox/1", damaged(row, due_at))

        assert body["dueAt"] == isoformat(at.service.clock.now())

    run_virtual(main())


def test_one_that_cannot_be_read_is_due_at_once_and_shown_in_health() -> None:
    async def main() -> None:
        at = bench("environments")
        put = OPERATIONS.put(_operation(at.service.clock))
        await _mended(at, put.id, {**put.body, "percent": "many", "dueAt": 5})
        service = at.service
        await Recovery(service.store, at.starts, service.clock, service.sweeps).sweep()

        assert service.sweeps.failures(service.clock.now()) == {"recover_operations": 1}

    run_virtual(main())


def test_one_whose_own_time_is_damaged_is_due_at_once() -> None:
    async def main() -> None:
        at = bench("catalog")
        now = isoformat(at.service.clock.now())
        scan = {"type": "watch", "schema": 3, "environment_id": "env-abcdefghijkl", "revision": 1,
                "generation": 1, "due_at": "tomorrow", "missing": {}}  # fmt: skip

        body = await _mended(at, "watch", {**scan, "dueAt": "tomorrow"})

        assert body["dueAt"] == now

    run_virtual(main())


@pytest.mark.parametrize("due_at", [MISSING, "tomorrow", "2026-03-01T00:00:00.000000Z"])
def test_what_is_due_in_months_by_its_content_is_due_then(due_at: Any) -> None:
    """A secret that is rotated every quarter would be rotated at once, again and again."""

    async def main() -> None:
        at = bench("secret_bindings")
        path = FOLDER / "secret_bindings_binding.schema1.json"
        binding = BINDINGS.decode(json.loads(path.read_text()))
        quarterly = BINDINGS.put(replace(binding, due_at="2026-03-01T00:00:00.000000Z"))

        body = await _mended(at, quarterly.id, damaged(quarterly.body, due_at))

        assert body == quarterly.body

    run_virtual(main())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"dueAt": "2026-01-01T00:00:00.000000Z"}, id="in-order"),
        pytest.param({"schema": 99, "dueAt": MISSING}, id="of-a-later-version"),
        pytest.param({"type": "thing", "dueAt": 5}, id="that-no-sweep-looks-for"),
    ],
)
def test_others_are_left_as_they_are(changes: Mapping[str, Any]) -> None:
    async def main() -> None:
        at = bench("environments")
        body = {**OPERATIONS.put(_operation(at.service.clock)).body, **changes}
        stored = damaged(body, body["dueAt"])

        assert await _mended(at, "operation/1", stored) == stored

    run_virtual(main())
