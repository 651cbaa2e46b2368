"""A number that a policy left ends with the first release that has a number of its own."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.kit.told import ended, released
from tests.kit.virtual_time import run_virtual
from tests.scaling.scaled import ONE, Scaling, policy_of, serving

LEFT: Final = {"replicas": 6, "releaseRevision": 1}
OWN: Final[Mapping[str, Any]] = {"replicas": 2}
UNDER_THE_FIRST: Final = {"replicas": 1, "askedReplicas": 2, "scalingPolicyRevision": 1}
UNDER_THE_SECOND: Final = {"replicas": 1, "askedReplicas": 2, "scalingPolicyRevision": 2}


async def six() -> Scaling:
    """Return scaling with a policy that wants six instances of the first release."""
    made = await serving()
    await made.apply()
    made.world.requests_per_s = 60
    await made.evaluate(3)
    return made


async def deleted(made: Scaling) -> Any:
    await made.call("DELETE", ONE, policyId=policy_of())
    return made.told()[-1]["leftReplicas"]


async def release(made: Scaling, revision: int, component: Mapping[str, Any]) -> None:
    await made.hear(ended(revision, [released(revision=revision, **component)]))


@pytest.mark.parametrize("is_deleted_first", [True, False], ids=["after-its-end", "before-its-end"])
def test_a_release_with_its_own_number_ends_it_also_for_those_under_the_next_policy(
    *, is_deleted_first: bool
) -> None:
    async def main() -> None:
        made = await six()
        if is_deleted_first:
            assert await deleted(made) == LEFT
        await release(made, 2, OWN)
        if not is_deleted_first:
            assert await deleted(made) is None
        await made.apply()
        await release(made, 3, UNDER_THE_SECOND)

        assert await deleted(made) == {"replicas": 2, "releaseRevision": 2}

    run_virtual(main())


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param({"replicas": 6, "askedReplicas": 2}, id="that-a-roll-out-kept"),
        pytest.param({"replicas": 6}, id="of-its-own"),
    ],
)
def test_a_policy_that_ends_before_it_decides_leaves_the_number_of_the_release_before(
    kept: Mapping[str, Any],
) -> None:
    async def main() -> None:
        made = await six()
        await deleted(made)
        await release(made, 2, kept)
        await made.apply()
        await release(made, 3, UNDER_THE_SECOND)
        await release(made, 4, UNDER_THE_SECOND)

        assert await deleted(made) == {"replicas": 6, "releaseRevision": 2}
        await release(made, 5, OWN)
        await made.apply()
        assert await deleted(made) is None

    run_virtual(main())


def test_a_release_that_begins_with_it_under_the_next_policy_keeps_it() -> None:
    async def main() -> None:
        made = await six()
        await deleted(made)
        await made.apply()
        await release(made, 2, UNDER_THE_SECOND)

        assert await deleted(made) == LEFT

    run_virtual(main())


def test_one_that_is_refused_for_a_release_with_its_own_number_leaves_none() -> None:
    async def main() -> None:
        made = await six()
        job = {**OWN, "port": None, "endpoint": None, "componentType": "worker", "probes": {}}
        await release(made, 2, job)
        await made.evaluate()
        said = made.told()[-1]

        assert (said["status"], said["leftReplicas"]) == ("Rejected", None)

    run_virtual(main())


@pytest.mark.parametrize(("minimum", "left"), [(4, 4), (1, 2)])
def test_a_policy_that_has_not_decided_leaves_as_many_as_its_release_began_with(
    minimum: int, left: int
) -> None:
    async def main() -> None:
        made = await serving(replicas=2)
        await made.apply(min=minimum)
        await release(made, 2, {**UNDER_THE_FIRST, "replicas": minimum})

        assert await deleted(made) == {"replicas": left, "releaseRevision": 1}

    run_virtual(main())


def test_the_minimum_of_the_next_policy_raises_what_the_one_before_left() -> None:
    async def main() -> None:
        made = await six()
        await deleted(made)
        await made.apply(min=8)
        await release(made, 2, {**UNDER_THE_SECOND, "replicas": 8})

        assert await deleted(made) == {"replicas": 8, "releaseRevision": 1}

    run_virtual(main())


def test_a_policy_that_was_deleted_while_its_release_was_on_its_way_leaves_what_it_said() -> None:
    async def main() -> None:
        made = await serving(replicas=6)
        await made.apply()
        assert await deleted(made) is None
        await release(made, 2, UNDER_THE_FIRST)
        await made.apply()

        assert made.told()[-1]["leftReplicas"] is None

    run_virtual(main())


def test_a_release_that_is_heard_of_late_has_its_number_left_too() -> None:
    async def main() -> None:
        made = await serving(replicas=6)
        await made.apply()
        await release(made, 3, UNDER_THE_FIRST)
        await release(made, 2, OWN)

        assert await deleted(made) == {"replicas": 2, "releaseRevision": 2}

    run_virtual(main())
