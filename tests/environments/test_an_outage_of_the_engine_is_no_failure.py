"""While the engine is away its run may go on: it is waited for, and ended before a failure."""

from typing import Any

import pytest

from shared.infrastructure.graph import Urn
from shared.infrastructure.port import RemainingResource, RunFailed, RunId, RunInProgress
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


LEFT = RemainingResource(Urn("urn:site"), "site", "NotReached", "the run ended before it")


class LongStepEngine(OtherEngine):
    """A run of which one step takes until *ends_at_s*; the first look at it fails."""

    clock: Clock
    ends_at_s = 0.0
    looks = 0

    async def observe(self, run_id: RunId) -> Any:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError
        if self.clock.monotonic_s() < self.ends_at_s:
            return RunInProgress(0, 2, "create site")
        return RunFailed("Canceled", "canceled between two steps", (LEFT,))


@pytest.mark.parametrize("step_s", [90, 3600], ids=["of-minutes", "of-an-hour"])
def test_a_failure_waits_for_the_step_at_which_its_run_ends(step_s: float) -> None:
    async def main() -> None:
        world = environments()
        engine = world.use_engine(LongStepEngine)
        engine.clock = clock = world.app.service.clock
        engine.ends_at_s = clock.monotonic_s() + step_s
        identity = await world.request()
        started = world.bench.starts.started.pop()
        while not (await world.operation(started[1])).is_terminal:
            await world.run(*started)
            await clock.sleep(120)
        environment = await world.environment(identity)

        assert (environment.status, environment.remaining) == ("Failed", (LEFT.urn,))
        assert (await world.operation(started[1])).status == "Failed"

    run_virtual(main())


def test_a_run_that_was_canceled_as_too_long_fails_as_that_after_a_restart() -> None:
    async def main() -> None:
        world = environments()
        engine = world.use_engine(LongStepEngine)
        engine.clock, engine.looks = world.app.service.clock, 1
        identity = await world.request()
        started = world.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await world.run(*started, interfere=stop_at("observe_run"))
        await world.app.service.clock.sleep(4 * 3600)
        await world.run(*started)
        environment = await world.environment(identity)

        assert environment.reason is not None
        assert (environment.status, environment.reason.code) == ("Failed", "RunTooLong")

    run_virtual(main())
