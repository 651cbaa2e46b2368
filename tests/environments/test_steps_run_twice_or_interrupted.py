"""Every step may run twice, and every step may fail, without a half-done end."""

import pytest

from function_apps.environments.activities import ACTIVITIES
from function_apps.environments.orchestrations import ORCHESTRATIONS
from function_apps.environments.repository import DECOMMISSION, ISOLATE, PROVISION, REMOVE, UPDATE
from shared.durable.orchestration import durable_name
from shared.kernel.errors import Unavailable
from tests.environments.driven import Environments, environments, stop_at
from tests.kit.virtual_time import run_virtual

IN_PROVISIONING = ("begin_apply", "plan_update", "start_update", "observe_run", "complete_apply")


async def _provision(**how: object) -> tuple[Environments, object]:
    world = environments()
    identity = await world.request()
    await world.run_started(**how)
    return world, await world.environment(identity)


def test_every_step_run_twice_gives_the_same_world_and_the_same_environment() -> None:
    async def main() -> None:
        once, after_once = await _provision()
        twice, after_twice = await _provision(twice=True)

        assert after_twice == after_once
        assert twice.world.resources == once.world.resources
        assert twice.bench.sent.types() == once.bench.sent.types()

    run_virtual(main())


@pytest.mark.parametrize("activity", IN_PROVISIONING)
def test_an_operation_that_was_cut_off_before_a_step_ends_as_if_it_had_not_been(
    activity: str,
) -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        name, instance, argument = world.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await world.run(name, instance, argument, interfere=stop_at(activity))
        await world.run(name, instance, argument)
        environment = await world.environment(identity)

        assert environment.status == "Provisioned"

    run_virtual(main())


@pytest.mark.parametrize("name", ["site", "data-files"])
def test_an_engine_that_stays_away_fails_the_environment_with_the_reason(name: str) -> None:
    async def main() -> None:
        world = environments()
        world.world.refusing[name] = Unavailable("the engine is away")
        identity = await world.request()
        outcomes = await world.run_started()
        environment = await world.environment(identity)

        assert outcomes == ["Failed"]
        assert environment.reason is not None
        assert (environment.status, environment.reason.code) == ("Failed", "Unavailable")

    run_virtual(main())


def test_each_kind_of_work_names_an_orchestration_that_exists() -> None:
    kinds = (PROVISION, UPDATE, DECOMMISSION, ISOLATE, REMOVE)
    named = {kind.orchestration for kind in kinds}

    assert named == {durable_name(orchestrator) for orchestrator in ORCHESTRATIONS}


def test_every_activity_is_registered_under_a_name_of_its_own() -> None:
    assert len({activity.__name__ for activity in ACTIVITIES}) == len(ACTIVITIES)
