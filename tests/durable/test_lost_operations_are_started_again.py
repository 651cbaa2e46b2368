"""An operation whose orchestration is gone goes on by itself, and one that runs is left alone."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import shared.kernel.operation as operations
from local_host.model import HttpCall
from shared.durable.operations import OPERATIONS, WAITING_TIMEOUT
from shared.durable.recovery import Recovery
from shared.kernel.errors import Unavailable
from shared.kernel.operation import HEARTBEAT_TIMEOUT, Operation
from shared.messaging.orchestrations import Orchestrations
from shared.persistence.store import Create, Partition
from tests.kit.drive import RecordedStarts
from tests.kit.releases import ENVIRONMENT
from tests.kit.service import Bench, bench
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

PARTITION = Partition("acme", "abcdefghijkl")
INPUT = {"tenantId": "acme", "aggregateId": "env-abcdefghijkl"}


def _operation(at: Bench, number: int = 1) -> Operation:
    return operations.accept(
        f"op-environments-abcdefghijkl-{number:016d}",
        "ProvisionEnvironment",
        "/v1/runtime/environments/env-abcdefghijkl",
        "user:ann",
        "environments_apply_environment",
        INPUT,
        at.service.clock.now(),
    )


async def _kept(at: Bench, *kept: Operation) -> Recovery:
    for operation in kept:
        document_id = OPERATIONS.document_id(operation.operation_id)
        body = OPERATIONS.encode(operation)
        await at.service.store.batch(PARTITION, [Create(document_id, body)])
    return _recovery(at, at.starts)


def _recovery(at: Bench, hub: Orchestrations) -> Recovery:
    return Recovery(at.service.store, hub, at.service.clock, at.service.sweeps)


async def _hub(world: World, method: str, path: str) -> int:
    rpc = world.services["environments"].hub._rpc  # type: ignore[attr-defined]
    call = HttpCall(method, f"{rpc}instances/{path}", "", (), b"")
    return (await world.host.handle(call)).status


def test_an_instance_lost_from_the_hub_is_started_again_and_ends_right() -> None:
    async def main() -> tuple[list[str], Any]:
        world = World()
        await world.boot()
        _, environment = await world.call("POST", "/runtime/environments", ENVIRONMENT)
        operation_id = environment["lastOperationId"]
        statuses = [await _ended(world, operation_id, "terminate")]
        statuses.append(await _ended(world, operation_id, ""))
        path = f"/runtime/environments/{environment['environmentId']}"

        async def is_provisioned() -> bool:
            _, now = await world.call("GET", path)
            return bool(now["status"] == "Provisioned")

        started_s = world.clock.monotonic_s()
        await world.until(is_provisioned, within_s=600)
        took_s = world.clock.monotonic_s() - started_s
        _, operation = await world.call("GET", f"/runtime/operations/{operation_id}")
        await world.stop()
        return [str(took_s > 100), *map(str, statuses)], operation

    facts, operation = run_virtual(main())

    assert facts == ["True", "202", "200"]
    assert operation["status"] == "Succeeded"
    assert operation["percent"] == 100


async def _ended(world: World, operation_id: str, command: str) -> int:
    if command:
        status = await _hub(world, "POST", f"{operation_id}/{command}")
        await world.clock.sleep(0.5)
        return status
    return await _hub(world, "DELETE", operation_id)


def test_an_operation_is_started_once_in_each_span_without_a_heartbeat() -> None:
    async def main() -> None:
        at = bench("environments")
        recovery = await _kept(at, _operation(at))
        counts = []
        for wait in (timedelta(0), HEARTBEAT_TIMEOUT, timedelta(0), HEARTBEAT_TIMEOUT):
            await at.service.clock.sleep(wait.total_seconds())
            await recovery.sweep()
            counts.append(len(at.starts.started))

        assert counts == [0, 1, 1, 2]
        assert at.starts.started[0] == (
            "environments_apply_environment", _operation(at).operation_id, INPUT,
        )  # fmt: skip

    run_virtual(main())


def test_a_waiting_operation_is_looked_at_every_ten_minutes() -> None:
    async def main() -> int:
        at = bench("environments")
        waiting = _operation(at).wait("approval", "w-1", at.service.clock.now())
        recovery = await _kept(at, waiting)
        for _ in range(60):
            await at.service.clock.sleep(60)
            await recovery.sweep()
        return len(at.starts.started)

    started = run_virtual(main())

    assert 0 < started <= timedelta(hours=1) / WAITING_TIMEOUT


def test_an_operation_that_has_ended_is_never_due() -> None:
    async def main() -> int:
        at = bench("environments")
        ended = _operation(at).succeed({}, at.service.clock.now())
        recovery = await _kept(at, ended)
        await at.service.clock.sleep(24 * 3600)
        return await recovery.sweep()

    assert run_virtual(main()) == 0


def test_two_timers_at_once_start_it_once() -> None:
    async def main() -> int:
        at = bench("environments")
        recovery = await _kept(at, _operation(at))
        await at.service.clock.sleep(HEARTBEAT_TIMEOUT.total_seconds())
        await asyncio.gather(*(recovery.sweep() for _ in range(3)))
        return len(at.starts.started)

    assert run_virtual(main()) == 1


def test_one_unreadable_operation_holds_up_the_recovery_of_no_other() -> None:
    async def main() -> None:
        at = bench("environments")
        recovery = await _kept(at, *(_operation(at, number) for number in range(1, 21)))
        later = {**OPERATIONS.encode(_operation(at)), "schema": 99}
        await at.service.store.batch(PARTITION, [Create("operation/later", later)])
        await at.service.clock.sleep(HEARTBEAT_TIMEOUT.total_seconds())
        await recovery.sweep()

        assert len(at.starts.started) == 20
        assert at.service.sweeps.failures(at.service.clock.now()) == {"recover_operations": 1}

    run_virtual(main())


class AwayOnce(RecordedStarts):
    """A hub that is away for the first start."""

    calls = 0

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        self.calls += 1
        if self.calls == 1:
            raise Unavailable("the hub is away")
        await super().start(orchestration, instance_id, argument)


def test_a_hub_that_is_away_costs_one_span_and_no_other_operation() -> None:
    async def main() -> None:
        at, hub = bench("environments"), AwayOnce()
        await _kept(at, _operation(at, 1), _operation(at, 2))
        recovery = _recovery(at, hub)
        counts = []
        for _ in range(2):
            await at.service.clock.sleep(HEARTBEAT_TIMEOUT.total_seconds())
            await recovery.sweep()
            counts.append(len(hub.started))

        assert counts == [1, 3]

    run_virtual(main())
