"""A gate that is judged by a host that dies at any write ends with the same verdict, told once."""

from datetime import timedelta
from typing import Any

import pytest

from shared.kernel.clock import isoformat
from tests.health.traffic import a_gate
from tests.kit.parameters import unless_whole
from tests.kit.sending import send
from tests.kit.sweep import reference, wrong_ends
from tests.kit.told import ENVIRONMENT, KEY, WEB, run, service_of
from tests.kit.virtual_time import EPOCH
from tests.kit.world import World

GATE = f"gate-{KEY}-{service_of().rsplit('-', 1)[1]}-{'0' * 16}-1-0"


def asked() -> Any:
    return a_gate(
        gateId=GATE, deploymentId=f"dep-{KEY}-{'0' * 16}", environmentId=ENVIRONMENT, moduleId=WEB,
        serviceId=service_of(), window="PT10S", baseline=None, probesCount=True, minSamples=20,
        probes={"readiness": {"path": "/health"}}, candidate={"releaseRevision": 1,
        "metricsKey": "1"}, deadlineAt=isoformat(EPOCH + timedelta(hours=2)),
    )  # fmt: skip


POINTS_IN_EVERY_RUN = 2
POINTS_IN_A_LONG_RUN = 2


async def judge(world: World) -> None:
    """Ask for the verdict of a release that runs, as deployments does; again after a crash."""
    if ENVIRONMENT not in world.surface.sites:
        await run(world.surface, replicas=2)
    await send("runtime-health-commands", asked(), number=1)

    async def has_verdict() -> bool:
        documents = await world.documents("health")
        return any(each.body.get("verdict") for each in documents if each.id == f"gate/{GATE}")

    await world.until(has_verdict, within_s=1800)


def test_undisturbed_the_gate_passes() -> None:
    _, found = reference(judge)

    assert sum('"type": "gate"' in each and '"verdict": "Pass"' in each for each in found) == 1


def test_killed_at_some_points_a_gate_ends_as_undisturbed() -> None:
    assert wrong_ends(judge, POINTS_IN_EVERY_RUN) == {}


@pytest.mark.long(minutes=1)
def test_killed_at_many_points_a_gate_ends_as_undisturbed() -> None:
    assert wrong_ends(judge, unless_whole(POINTS_IN_A_LONG_RUN)) == {}
