"""An operation acts only while it owns its environment; every operation ends."""

import asyncio
from typing import Any

import pytest

from function_apps.environments.use_cases.abandon_operation import abandon_operation
from function_apps.environments.use_cases.record_drained import record_drained
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.kernel.operation import OperationAlreadyEnded
from tests.environments.driven import Environments, OtherEngine, environments, stop_at
from tests.kit.virtual_time import run_virtual

MORE = {
    "dataResources": [
        {"kind": "LocalFolder", "name": "files"},
        {"kind": "LocalFolder", "name": "more"},
    ]
}
UPDATING = ("begin_apply", "plan_update", "start_update", "observe_run", "complete_apply")


async def _provisioned(world: Environments) -> str:
    identity = await world.request()
    await world.run_started()
    return identity


async def _run_next(world: Environments, **how: Any) -> Any:
    return await world.run(*world.bench.starts.started.pop(0), **how)


async def _drain(world: Environments, identity: str) -> None:
    environment = await world.environment(identity)
    drained = RuntimeEnvironmentDrained(
        aggregate_id="target",
        revision=1,
        environment_id=identity,
        generation=environment.generation,
        removed=0,
    )
    await record_drained(drained, world.ctx, world.app)


@pytest.mark.parametrize("reached", [None, *UPDATING], ids=lambda name: name or "not-started")
def test_an_update_overtaken_by_a_decommissioning_writes_nothing_more_and_both_end(
    reached: str | None,
) -> None:
    """*reached* is the activity of the update before which the decommissioning comes."""

    async def main() -> None:
        world = environments()
        identity = await _provisioned(world)
        update = await world.update(identity, **MORE)
        if reached is not None:
            with pytest.raises(KeyboardInterrupt):
                await world.run(*world.bench.starts.started[0], interfere=stop_at(reached))
        await world.decommission(identity)
        overtaken = await _run_next(world)
        during = await world.environment(identity)
        leaving = asyncio.ensure_future(_run_next(world))
        await world.app.service.clock.sleep(1)
        await _drain(world, identity)

        assert overtaken == "OperationSuperseded"
        assert during.status == "Decommissioning"
        assert await leaving == "Decommissioned"
        first = await world.operation(update.value["operationId"])
        last = await world.operation((await world.environment(identity)).operation_id)
        assert (first.status, (first.error or {})["code"]) == ("Canceled", "OperationSuperseded")
        assert last.status == "Succeeded"

    run_virtual(main())


def test_the_operation_that_takes_over_is_named_in_the_one_that_ends() -> None:
    async def main() -> None:
        world = environments()
        identity = await _provisioned(world)
        update = await world.update(identity, **MORE)
        leaving = await world.decommission(identity)
        ended = await world.operation(update.value["operationId"])

        assert ended.error is not None
        assert leaving.value["operationId"] in ended.error["message"]

    run_virtual(main())


class DefectiveEngine(OtherEngine):
    """Its runs cannot be observed, so no failure can be recorded."""

    async def observe(self, run_id: object) -> Any:
        msg = f"{run_id} is none"
        raise TypeError(msg)


def test_a_failure_that_cannot_be_recorded_ends_its_operation_and_frees_its_environment() -> None:
    async def main() -> None:
        world = environments()
        world.use_engine(DefectiveEngine)
        identity = await world.request()
        outcomes = await world.run_started()
        environment = await world.environment(identity)
        ended = await world.operation(environment.operation_id)

        assert outcomes == ["ActivityFailed"]
        assert environment.status == "Failed"
        assert environment.reason is not None
        assert environment.reason.code == "ActivityFailed"
        assert (ended.status, (ended.error or {})["code"]) == ("Failed", "ActivityFailed")

    run_virtual(main())


def test_an_abandoned_operation_frees_its_environment_for_a_retry() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        stuck = await world.operation((await world.environment(identity)).operation_id)
        world.bench.starts.started.clear()
        await abandon_operation(stuck, world.bench.ctx(), world.app)
        abandoned = await world.operation(stuck.operation_id)
        failed = await world.environment(identity)
        await world.request()

        assert (abandoned.status, (abandoned.error or {})["code"]) == (
            "Failed", "OperationAbandoned",
        )  # fmt: skip
        assert failed.status == "Failed"
        assert await world.run_started() == ["Applied"]
        with pytest.raises(OperationAlreadyEnded):
            await abandon_operation(stuck, world.bench.ctx(), world.app)

    run_virtual(main())
