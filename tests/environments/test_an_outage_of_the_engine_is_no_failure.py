"""While the engine is away its run may go on: it is waited for, and ended before a failure."""

from typing import Any

import pytest

from shared.infrastructure.port import RunId
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Unknown
from tests.environments.driven import Environments, OtherEngine, environments, stop_at
from tests.kit.virtual_time import run_virtual


class AwayEngine(OtherEngine):
    """Does not answer for a run until *back_at_s*."""

    clock: Clock
    back_at_s = 0.0

    async def observe(self, run_id: RunId) -> Any:
        if self.clock.monotonic_s() < self.back_at_s:
            return Unknown("the engine is away")
        return await self.inner.observe(run_id)

    async def cancel(self, run_id: RunId, fence: object) -> None:
        if self.clock.monotonic_s() < self.back_at_s:
            raise Unavailable("the engine is away")
        await self.inner.cancel(run_id, fence)


def _away_for(world: Environments, span_s: float) -> None:
    engine = world.use_engine(AwayEngine)
    engine.clock = world.app.service.clock
    engine.back_at_s = engine.clock.monotonic_s() + span_s


def test_an_update_whose_engine_was_away_for_an_hour_ends_well() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        _away_for(world, 3600)
        outcomes = await world.run_started()

        assert outcomes == ["Applied"]
        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_no_failure_is_recorded_while_the_run_cannot_be_ended() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        started = world.bench.starts.started[0]
        _away_for(world, 6 * 3600)
        outcomes = await world.run_started()
        operation = await world.operation(started[1])

        assert outcomes == ["Unavailable"]
        assert not operation.is_terminal
        assert (await world.environment(identity)).status == "Provisioning"

    run_virtual(main())


def test_when_the_engine_is_back_recovery_goes_on_with_the_run() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        started = world.bench.starts.started[0]
        _away_for(world, 4 * 3600 + 60)
        await world.run_started()
        await world.app.service.clock.sleep(120)
        outcome = await world.run(*started)

        assert outcome == "Applied"
        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_an_update_that_ended_well_is_no_failure_because_its_outputs_cannot_be_read() -> None:
    async def main() -> None:
        world = environments()
        engine = world.use_engine(AwayEngine)
        engine.clock = world.app.service.clock

        def go_away(activity: str, _count: int) -> None:
            if activity == "complete_apply" and not engine.back_at_s:
                engine.back_at_s = engine.clock.monotonic_s() + 31

        identity = await world.request()
        started = world.bench.starts.started[0]
        await world.run_started(interfere=go_away)
        if not (await world.operation(started[1])).is_terminal:
            await world.run(*started)
        environment = await world.environment(identity)

        assert (environment.status, environment.reason) == ("Provisioned", None)

    run_virtual(main())


class AbsentEngine(OtherEngine):
    """Takes a start and loses its answer."""

    async def start(self, *given: Any) -> None:
        await self.inner.start(*given)
        raise Unavailable("the connection broke")


@pytest.mark.parametrize("is_stopped", [False, True], ids=["at-once", "started-again"])
def test_a_run_whose_start_was_not_answered_is_canceled_before_the_failure(
    *, is_stopped: bool
) -> None:
    async def main() -> None:
        world = environments()
        world.use_engine(AbsentEngine)
        identity = await world.request()
        started = world.bench.starts.started.pop()
        if is_stopped:
            with pytest.raises(KeyboardInterrupt):
                await world.run(*started, interfere=stop_at("cancel_run"))
        outcome = await world.run(*started)
        environment = await world.environment(identity)

        assert outcome == "Failed"
        assert environment.status == "Failed"
        assert world.world.states[environment.stack].run is None

    run_virtual(main())
