"""Whoever ends an operation ends its run, also one that is being started."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from function_apps.environments.use_cases.abandon_operation import abandon_operation
from shared.infrastructure.port import RunId, RunInProgress
from shared.kernel.clock import Clock
from shared.kernel.errors import Stale, Unavailable
from shared.persistence.store import partition_of
from shared.web.administration import cooperative_cancel
from tests.environments.driven import Environments, OtherEngine, environments, stop_at
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual


class SlowEngine(OtherEngine):
    """Its runs are in progress until they are canceled."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.started: list[str] = []
        self.canceled: list[str] = []

    async def start(self, run_id: RunId, plan: object, fence: object) -> None:
        self.started.append(run_id.name)
        await self.inner.start(run_id, plan, fence)

    async def observe(self, run_id: RunId) -> Any:
        is_slow = run_id.name in self.started and run_id.name not in self.canceled
        return RunInProgress(0, 1, "create") if is_slow else await self.inner.observe(run_id)

    async def cancel(self, run_id: RunId, fence: object) -> None:
        self.canceled.append(run_id.name)
        await self.inner.cancel(run_id, fence)


async def _updating() -> tuple[Environments, str, str, SlowEngine]:
    """Return a world in which an update is at work, its environment and its operation."""
    world = environments()
    identity = await world.request()
    await world.run_started()
    engine = world.use_engine(SlowEngine)
    update = await world.update(identity, tags={"a": "b"})
    with pytest.raises(KeyboardInterrupt):
        await world.run_started(interfere=stop_at("observe_run"))
    return world, identity, str(update.value["operationId"]), engine


def test_a_decommissioning_ends_the_run_of_the_update_before_it_waits_for_the_drain() -> None:
    async def main() -> None:
        world, identity, update, engine = await _updating()
        await world.decommission(identity)
        leaving = asyncio.ensure_future(world.run_started())
        await world.app.service.clock.sleep(1)

        assert engine.canceled == [update]
        leaving.cancel()

    run_virtual(main())


class LongStepEngine(SlowEngine):
    """A run that is canceled ends when its step does, at *ends_at_s*."""

    ends_at_s = 0.0
    clock: Clock

    async def observe(self, run_id: RunId) -> Any:
        if run_id.name in self.canceled and self.clock.monotonic_s() < self.ends_at_s:
            return RunInProgress(0, 1, "create")
        return await self.inner.observe(run_id)


def test_a_decommissioning_waits_for_the_step_at_which_the_run_of_the_update_ends() -> None:
    async def main() -> None:
        world, identity, _, slow = await _updating()
        world.app = replace(world.app, engine=slow.inner)
        engine = world.use_engine(LongStepEngine)
        engine.clock = clock = world.app.service.clock
        engine.ends_at_s = clock.monotonic_s() + 3600
        operation = (await world.decommission(identity)).value["operationId"]
        started = world.bench.starts.started.pop()
        while not (await world.operation(str(operation))).is_terminal:
            await world.run(*started)
            await clock.sleep(120)

        assert (await world.environment(identity)).status == "Decommissioned"
        assert clock.monotonic_s() > engine.ends_at_s

    run_virtual(main())


def test_abandoning_an_operation_ends_its_run() -> None:
    async def main() -> None:
        world, _, update, engine = await _updating()
        await abandon_operation(await world.operation(update), world.ctx, world.app)

        assert engine.canceled == [update]

    run_virtual(main())


class WitnessEngine(OtherEngine):
    """Notes whether *operation* had ended when its run was canceled."""

    world: Environments
    operation: str
    had_ended: bool | None = None

    async def cancel(self, run_id: RunId, fence: Any) -> None:
        self.had_ended = (await self.world.operation(self.operation)).is_terminal
        await self.inner.cancel(run_id, fence)


def test_a_run_is_canceled_once_its_operation_has_ended() -> None:
    async def main() -> None:
        world, _, update, _ = await _updating()
        engine = world.use_engine(WitnessEngine)
        engine.world, engine.operation = world, update
        await abandon_operation(await world.operation(update), world.ctx, world.app)

        assert engine.had_ended

    run_virtual(main())


class KilledEngine(OtherEngine):
    """The process ends when it cancels."""

    async def cancel(self, run_id: RunId, fence: object) -> None:
        raise KeyboardInterrupt


def test_a_run_that_an_abandoned_operation_left_ends_with_the_next_operation() -> None:
    async def main() -> None:
        world = environments()
        world.world.refusing["site"] = Unavailable("busy")
        identity = await world.request()
        request = world.bench.starts.started[0][1]
        with pytest.raises(KeyboardInterrupt):
            await world.run_started(interfere=stop_at("observe_run"))
        engine = world.use_engine(KilledEngine).inner
        with pytest.raises(KeyboardInterrupt):
            await abandon_operation(await world.operation(request), world.ctx, world.app)
        world.app = replace(world.app, engine=engine)
        world.world.refusing.clear()
        await world.decommission(identity)
        outcomes = await world.run_started()
        environment = await world.environment(identity)
        end = await engine.observe(RunId(environment.stack, request))

        assert (outcomes, end.code) == (["Decommissioned"], "RunSuperseded")
        assert world.world.resources == {}

    run_virtual(main())


class HangingEngine(OtherEngine):
    """Never answers a cancel."""

    async def cancel(self, run_id: RunId, fence: object) -> None:
        await asyncio.Event().wait()


def test_an_engine_that_hangs_keeps_nobody_waiting_for_the_end_of_an_operation() -> None:
    async def main() -> None:
        world, identity, update, _ = await _updating()
        world.use_engine(HangingEngine)
        async with asyncio.timeout(30):
            await abandon_operation(await world.operation(update), world.ctx, world.app)

        assert (await world.environment(identity)).last_update is not None

    run_virtual(main())


class DeadEngine(OtherEngine):
    async def cancel(self, run_id: RunId, fence: object) -> None:
        raise Unavailable("the engine is away")


def test_an_operation_can_be_abandoned_while_the_engine_is_away() -> None:
    async def main() -> None:
        world, identity, update, _ = await _updating()
        world.use_engine(DeadEngine)
        await abandon_operation(await world.operation(update), world.ctx, world.app)

        assert (await world.operation(update)).is_terminal
        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_an_operation_is_abandoned_under_its_own_etag_and_nothing_is_canceled_under_another() -> (
    None
):
    async def main() -> None:
        world, _, update, engine = await _updating()
        operation = await world.operation(update)
        partition, name = partition_of(TENANT, update), f"operation/{update}"
        document = await world.app.service.store.read(partition, name)
        assert document is not None
        with pytest.raises(Stale):
            await abandon_operation(operation, world.bench.ctx(if_match=('"1"',)), world.app)
        canceled = list(engine.canceled)
        ctx = world.bench.ctx(if_match=(document.etag,))
        await abandon_operation(operation, ctx, world.app)

        assert canceled == []
        assert (await world.operation(update)).is_terminal

    run_virtual(main())


@pytest.mark.parametrize("reached", ["begin_apply", "plan_update", "start_update"])
def test_an_operation_that_is_canceled_before_its_run_begins_starts_none(reached: str) -> None:
    async def main() -> None:
        world = environments()
        engine = world.use_engine(SlowEngine)
        identity = await world.request()
        started = world.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await world.run(*started, interfere=stop_at(reached))
        operation = await world.operation(started[1])
        await cooperative_cancel(operation, world.ctx, world.app)
        await world.run(*started)

        assert engine.started == []
        assert (await world.operation(started[1])).status == "Canceled"
        environment = await world.environment(identity)
        assert environment.reason is not None
        assert (environment.status, environment.reason.code) == ("Failed", "OperationCanceled")

    run_virtual(main())


def test_an_operation_that_is_canceled_while_its_run_is_at_work_ends_it() -> None:
    async def main() -> None:
        world, identity, update, engine = await _updating()
        await cooperative_cancel(await world.operation(update), world.ctx, world.app)
        argument = {"tenantId": TENANT, "aggregateId": identity}
        await world.run("environments_apply_environment", update, argument)

        assert update in engine.canceled
        reason = (await world.environment(identity)).reason
        assert reason is not None
        assert reason.code == "OperationCanceled"

    run_virtual(main())


class EngineAtTheDoor(OtherEngine):
    """Its next start waits until it is let in."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.arrived, self.is_let_in = asyncio.Event(), asyncio.Event()

    async def start(self, run_id: RunId, plan: object, fence: object) -> None:
        self.arrived.set()
        await self.is_let_in.wait()
        await self.inner.start(run_id, plan, fence)


def test_a_start_on_its_way_builds_nothing_for_an_abandoned_operation() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        engine, operation = world.use_engine(EngineAtTheDoor), world.bench.starts.started[0][1]
        running = asyncio.ensure_future(world.run_started())
        await engine.arrived.wait()
        await abandon_operation(await world.operation(operation), world.ctx, world.app)
        engine.is_let_in.set()
        await running
        await world.app.service.clock.sleep(60)

        assert world.world.resources == {}
        assert (await world.environment(identity)).status == "Failed"

    run_virtual(main())


def test_a_destruction_on_its_way_deletes_nothing_for_an_abandoned_operation() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        before = dict(world.world.resources)
        leaving = str((await world.decommission(identity)).value["operationId"])
        engine = world.use_engine(EngineAtTheDoor)
        running = asyncio.ensure_future(world.run_started())
        await engine.arrived.wait()
        await abandon_operation(await world.operation(leaving), world.ctx, world.app)
        engine.is_let_in.set()
        await running
        await world.app.service.clock.sleep(60)

        assert world.world.resources == before

    run_virtual(main())


def test_a_start_on_its_way_changes_nothing_once_a_decommissioning_took_over() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        engine = world.use_engine(EngineAtTheDoor)
        late = {"kind": "LocalFolder", "name": "late"}
        await world.update(identity, dataResources=[late], deleteData=["files"])
        update = asyncio.ensure_future(world.run_started())
        await engine.arrived.wait()
        written = len(world.world.writes)
        await world.decommission(identity)
        leaving = asyncio.ensure_future(world.run_started())
        await world.app.service.clock.sleep(5)
        engine.is_let_in.set()
        await world.app.service.clock.sleep(30)
        update.cancel()
        leaving.cancel()

        assert [name for name in world.world.writes[written:] if name.startswith("create")] == []

    run_virtual(main())
