"""That nothing can be gone back to is told once, and ends with a release, a removal or the end."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.deployments.model.deployment_target import ALERTS_ENDED_MAX
from function_apps.deployments.repository import TARGETS
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.messaging.unit_of_work import Decision
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.deployments.test_a_fix_lands_when_the_old_version_is_dead import (
    dies,
    one_in_force,
    rejected,
    released,
)
from tests.kit.open_alerts import require_listed
from tests.kit.virtual_time import run_virtual

ALERT: Final = "NothingToGoBackTo"


async def alerted() -> Driven:
    """Return a world whose only release is dead, and whose next one was rejected."""
    world = driven()
    await one_in_force(world)
    await dies(world, "one")
    await rejected(world)
    await require_listed(world.bench, ALERT)
    return world


def told(world: Driven, change: str) -> Sequence[Any]:
    return [each["payload"] for each in world.bench.sent.bodies(f"RuntimeAlert{change}")]


async def is_removed(world: Driven) -> None:
    await world.deploy(remove=[SHOP])
    await world.settle()


async def is_drained(world: Driven) -> None:
    await world.tell(EnvironmentStatus.DECOMMISSIONING)
    await world.settle()


async def is_gone(world: Driven) -> None:
    await world.tell(EnvironmentStatus.DECOMMISSIONED)
    await world.settle()


async def is_made_again(world: Driven) -> None:
    await world.tell(generation=2)
    await world.settle()


@pytest.mark.parametrize("ends", [is_removed, is_drained, is_gone, is_made_again])
def test_an_alert_ends_where_its_module_is_there_no_more(ends: Any) -> None:
    async def main() -> None:
        world = await alerted()
        (raised,) = told(world, "Raised")

        await ends(world)

        (cleared,) = told(world, "Cleared")
        same = ("aggregateId", "alert", "serviceId", "environmentId", "raisedAt")
        assert [cleared[each] for each in same] == [raised[each] for each in same]
        assert cleared["revision"] > raised["revision"]
        await require_listed(world.bench)

    run_virtual(main())


@pytest.mark.parametrize("ends", [is_gone, is_made_again])
def test_every_alert_of_an_environment_ends_with_it_however_many_there_are(ends: Any) -> None:
    async def main() -> None:
        world = await alerted()
        target = await world.target()
        known = target.modules[SHOP]
        names = [f"module-m{number}" for number in range(2 * ALERTS_ENDED_MAX)]
        many = replace(target, modules={SHOP: known, **dict.fromkeys(names, known)})
        write: Decision[Any] = Decision({}, writes=[TARGETS.put(many)])
        work = world.app.service.work
        await work.change(world.ctx.without_marker(), TARGETS, TEST, lambda _: write)

        await ends(world)

        cleared = told(world, "Cleared")
        assert len({each["aggregateId"] for each in cleared}) == len(cleared) == len(names) + 1
        await require_listed(world.bench)

    run_virtual(main())


def test_what_comes_after_a_removal_is_told_of_as_newer() -> None:
    async def main() -> None:
        world = await alerted()
        await is_removed(world)
        (cleared,) = told(world, "Cleared")
        await released(world, "three")
        await dies(world, "three")

        await rejected(world, "four")

        _, raised = told(world, "Raised")
        assert raised["revision"] > cleared["revision"]
        await require_listed(world.bench, ALERT)

    run_virtual(main())


def test_a_second_release_that_is_rejected_raises_it_no_second_time() -> None:
    async def main() -> None:
        world = await alerted()

        done = await rejected(world, "three")

        assert done.status is DeploymentStatus.FAILED
        (raised,) = told(world, "Raised")
        assert told(world, "Cleared") == []
        await require_listed(world.bench, ALERT)
        await released(world, "four")
        (cleared,) = told(world, "Cleared")
        assert cleared["raisedAt"] == raised["raisedAt"]

    run_virtual(main())
