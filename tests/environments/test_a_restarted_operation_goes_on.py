"""An orchestration that was lost and started again goes on with its plan and its deadlines."""

import pytest

from function_apps.environments.use_cases.plan_environment import plan_request
from shared.infrastructure.port import RunId, RunInProgress
from tests.environments.driven import OtherEngine, a_request, environments, stop_at
from tests.kit.virtual_time import run_virtual

HOUR_S = 3600.0


class EndlessEngine(OtherEngine):
    """Its runs go on until they are canceled."""

    canceled = False

    async def observe(self, run_id: RunId) -> object:
        return await self.inner.observe(run_id) if self.canceled else RunInProgress(0, 1, "create")

    async def cancel(self, run_id: RunId, fence: object) -> None:
        self.canceled = True
        await self.inner.cancel(run_id, fence)


def test_it_applies_the_plan_that_was_approved_although_the_stack_has_moved_on() -> None:
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        identity = await world.request(planId=plan.plan_id)
        started = world.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await world.run(*started, interfere=stop_at("observe_run"))
        outcome = await world.run(*started)

        assert outcome == "Applied"
        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_the_four_hours_of_a_run_begin_once() -> None:
    async def main() -> None:
        world = environments()
        engine = world.use_engine(EndlessEngine)
        identity = await world.request()
        started = world.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await world.run(*started, interfere=stop_at("observe_run"))
        await world.app.service.clock.sleep(4 * HOUR_S)
        restarted_s = world.app.service.clock.monotonic_s()
        outcome = await world.run(*started)
        environment = await world.environment(identity)

        assert outcome == "Failed"
        assert environment.reason is not None
        assert environment.reason.code == "RunTooLong"
        assert world.app.service.clock.monotonic_s() - restarted_s < 120
        assert engine.canceled

    run_virtual(main())


def test_the_wait_for_the_drain_begins_once() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        await world.decommission(identity)
        started = world.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await world.run(*started, interfere=stop_at("start_destroy"))
        restarted_s = world.app.service.clock.monotonic_s()
        outcome = await world.run(*started)

        assert outcome == "Decommissioned"
        assert world.app.service.clock.monotonic_s() - restarted_s < 60

    run_virtual(main())
