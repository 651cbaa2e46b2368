"""A message delivered again after the state moved on: what it asked for was done or found done."""

from function_apps.environments.use_cases.provision_environment import provision_environment
from tests.environments.driven import a_request, environments
from tests.kit.virtual_time import run_virtual


def test_a_request_that_found_its_environment_does_not_bring_it_back_after_it_was_taken_down() -> (
    None
):
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        message = world.bench.ctx(marker="inbox/evt-1", kind="command")
        await provision_environment(a_request(), message, world.app)
        await world.decommission(identity)
        await world.run_started()
        await provision_environment(a_request(), message, world.app)

        assert (await world.environment(identity)).status == "Decommissioned"

    run_virtual(main())
