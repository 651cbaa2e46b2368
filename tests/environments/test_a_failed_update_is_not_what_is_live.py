"""After a failed update the earlier content is in force, and what is not as planned is named."""

from dataclasses import replace

import pytest

from function_apps.environments.errors import ConfirmationMissing, EnvironmentExists
from function_apps.environments.events import environment_changed
from function_apps.environments.model.environment import REMAINING_MAX, evolve
from function_apps.environments.model.lifecycle import ApplyFailed, State
from function_apps.environments.resources import environment_resource
from function_apps.environments.use_cases.plan_environment import plan_environment
from shared.contracts.values import Reason
from shared.kernel.errors import Refused
from tests.environments.driven import Environments, environments
from tests.kit.virtual_time import run_virtual

OTHER = {"tags": {"a": "b"}}


async def _after_a_failed_update(**first: object) -> tuple[Environments, str]:
    world = environments()
    identity = await world.request(**first)
    await world.run_started()
    world.world.refusing["site"] = Refused("port taken", code="PortTaken")
    await world.update(identity, **OTHER)
    await world.run_started()
    world.world.refusing.clear()
    return world, identity


def test_a_request_for_what_is_live_is_a_repeat() -> None:
    async def main() -> None:
        world, identity = await _after_a_failed_update()

        assert await world.request() == identity
        assert world.bench.starts.started == []

    run_virtual(main())


def test_a_request_for_what_failed_is_another_one() -> None:
    async def main() -> None:
        world, _ = await _after_a_failed_update()
        with pytest.raises(EnvironmentExists):
            await world.request(**OTHER)

    run_virtual(main())


def test_clients_are_shown_what_is_live_and_why_the_update_failed() -> None:
    async def main() -> None:
        world, identity = await _after_a_failed_update()
        shown = environment_resource(await world.environment(identity))

        assert (shown.status, shown.last_update, shown.tags) == ("Provisioned", "Failed", {})
        assert shown.reason is not None
        assert "port taken" in shown.reason.message

    run_virtual(main())


def test_only_what_is_not_as_planned_is_named() -> None:
    async def main() -> None:
        world, identity = await _after_a_failed_update()
        environment = await world.environment(identity)

        assert [urn.rpartition("::")[2] for urn in environment.remaining] == ["site"]

    run_virtual(main())


def test_its_plan_leads_back_to_what_is_in_force() -> None:
    async def main() -> None:
        world, identity = await _after_a_failed_update()
        plan = await plan_environment(identity, world.ctx, world.app)
        changed = [each.urn.rpartition("::")[2] for each in plan.resources if each.changed]

        assert "data-files" in changed

    run_virtual(main())


def test_an_update_that_failed_to_lift_the_protection_leaves_it() -> None:
    async def main() -> None:
        world, identity = await _after_a_failed_update(protected=True)
        with pytest.raises(ConfirmationMissing):
            await world.decommission(identity, confirm=None)

    run_virtual(main())


def test_the_content_of_an_update_that_succeeds_is_in_force() -> None:
    async def main() -> None:
        world, identity = await _after_a_failed_update()
        await world.update(identity, **OTHER)
        await world.run_started()

        assert await world.request(**OTHER) == identity
        assert (await world.environment(identity)).remaining == ()

    run_virtual(main())


def test_more_resources_than_an_event_carries_are_counted() -> None:
    async def main() -> None:
        world, identity = await _after_a_failed_update()
        known = replace(await world.environment(identity), status=State.PROVISIONING)
        reason = Reason(code="StepFailed", message="port taken")
        names = tuple(f"urn:{n}" for n in range(REMAINING_MAX + 1))
        failed = evolve(known, ApplyFailed(reason, names), world.app.service.clock.now())

        assert len(environment_changed(failed).payload.remaining) == REMAINING_MAX  # type: ignore[attr-defined]
        assert failed.remaining[-1] == "and 2 more"

    run_virtual(main())
