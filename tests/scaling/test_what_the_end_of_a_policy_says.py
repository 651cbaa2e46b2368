"""Who ends a policy reads how many instances stay, and what the next release brings."""

from dataclasses import replace

import pytest

from function_apps.scaling.model.left_replicas import words_of_end
from function_apps.scaling.model.policy import ScalingPolicy
from function_apps.scaling.model.scaled_service import ScaledService, new_service
from shared.kernel.clock import isoformat
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, released
from tests.scaling.policies import NOW
from tests.scaling.test_what_a_policy_leaves import gone, judged, refused

UNKNOWN = new_service("svc", TENANT, ENVIRONMENT, WEB)


def service(revision: int = 1, **component: object) -> ScaledService:
    unit = released(revision=revision, **component)
    return replace(UNKNOWN, release_revision=revision, released_at=isoformat(NOW), component=unit)


FOUR = gone(judged())


@pytest.mark.parametrize(
    ("ended", "service", "words"),
    [
        pytest.param(FOUR, service(replicas=1), "the number stays 4 until the next", id="more"),
        pytest.param(
            FOUR, service(replicas=4), "the number stays 4, as the release", id="the-same"
        ),
        pytest.param(
            FOUR, service(replicas=4, askedReplicas=1), "asks for 1", id="begun-under-a-policy"
        ),
        pytest.param(
            gone(refused(judged())),
            service(2, replicas=3),
            "asks for 3 instances",
            id="released-since",
        ),
        pytest.param(FOUR, service(runsOnce={}), "", id="a-job"),
        pytest.param(FOUR, UNKNOWN, "", id="of-no-release"),
        pytest.param(FOUR, None, "", id="of-nothing"),
    ],
)
def test_it_says_what_stays_and_what_the_next_release_brings(
    ended: ScalingPolicy, service: ScaledService | None, words: str
) -> None:
    said = words_of_end(ended, service)

    assert words in said
    assert bool(words) is bool(said)
