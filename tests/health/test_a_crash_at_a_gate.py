"""A gate that is judged by a host that dies at any write ends with the same verdict, told once."""

from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from shared.kernel.clock import EPOCH, isoformat
from tests.health.traffic import a_gate
from tests.kit.sending import send
from tests.kit.sweep import differences, killed_at, undisturbed
from tests.kit.told import ENVIRONMENT, KEY, WEB, run, service_of
from tests.kit.world import World

GATE = f"gate-{KEY}-{service_of().rsplit('-', 1)[1]}-{'0' * 16}-1-0"


def asked() -> Any:
    return a_gate(
        gateId=GATE, deploymentId=f"dep-{KEY}-{'0' * 16}", environmentId=ENVIRONMENT, moduleId=WEB,
        serviceId=service_of(), window="PT10S", baseline=None, probesCount=True, minSamples=20,
        probes={"readiness": {"path": "/health"}}, candidate={"releaseRevision": 1,
        "metricsKey": "1"}, deadlineAt=isoformat(EPOCH + timedelta(hours=2)),
    )  # fmt: skip


async def judge(world: World) -> None:
    """Ask for the verdict of a release that runs, as deployments does; again after a crash."""
    if ENVIRONMENT not in world.surface.sites:
        await run(world.surface, replicas=2)
    await send("runtime-health-commands", asked(), number=1)

    async def has_verdict() -> bool:
        documents = await world.documents("health")
        return any(each.body.get("verdict") for each in documents if each.id == f"gate/{GATE}")

    await world.until(has_verdict, within_s=1800)


@cache
def reference() -> tuple[list[str], list[str]]:
    return undisturbed(judge)


def sweep(every: int) -> dict[str, list[str]]:
    points, expected = reference()
    wrong = {}
    for point in range(1, len(points) + 1, every):
        where, found = killed_at(judge, point)
        if found != expected:
            wrong[f"{point}: {where}"] = differences(expected, found)
    return wrong


def test_undisturbed_the_gate_passes() -> None:
    points, found = reference()

    assert len(points) > 20
    assert sum('"type": "gate"' in each and '"verdict": "Pass"' in each for each in found) == 1


def test_killed_at_some_points_a_gate_ends_as_undisturbed() -> None:
    assert sweep(every=11) == {}


@pytest.mark.long
def test_killed_at_every_point_a_gate_ends_as_undisturbed() -> None:
    assert sweep(every=1) == {}
