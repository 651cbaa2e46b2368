"""Pods that an autoscaler asks for and that are not there yet take no traffic from those that are.

A cluster may have no room for them at all.
"""

import pytest

from shared.kernel.observation import Present
from shared.surfaces.aks import surface
from shared.surfaces.aks.kinds import DEPLOYMENTS
from shared.surfaces.aks.names import Installation, revision_name
from shared.surfaces.aks.scalers import MINIMUM
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.errors import NotReady
from shared.surfaces.observed_state import LiveRevision, Phase
from shared.surfaces.scaling import Measure, ScalingRules, UtilizationRule
from tests.aks.test_an_overtaken_writer_changes_nothing import add_ready_pod, nobody, revision
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, fence

NAMESPACE = Installation().namespace(SHOP.environment, SHOP.tenant)
BY_CPU = (UtilizationRule(Measure.CPU, 60),)


async def seen(opened: AksSurface) -> LiveRevision:
    reading = await opened.observe(SHOP)
    assert isinstance(reading, Present), reading
    return reading.value.revisions[0]


@pytest.mark.parametrize(
    ("minimum", "said", "phase"),
    [
        pytest.param(1, "1", Phase.READY, id="the-minimum-is-ready"),
        pytest.param(2, "2", Phase.STARTING, id="fewer-than-the-minimum"),
        pytest.param(1, "many", Phase.STARTING, id="a-minimum-that-nobody-can-read"),
    ],
)
def test_a_revision_is_whole_with_the_minimum_of_its_rules(
    monkeypatch: pytest.MonkeyPatch, minimum: int, said: str, phase: Phase
) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        opened = AksSurface(nobody, LoopClock())
        await opened.ensure_site(SITE, fence(1))
        await opened.apply(revision(1), fence(1))
        add_ready_pod(server, 1)
        await opened.set_scaling(SHOP, 1, ScalingRules(minimum, 5, BY_CPU), fence(1))
        deployment = server.objects[DEPLOYMENTS, NAMESPACE, revision_name(SHOP, 1)]
        deployment["spec"]["replicas"] = 5
        deployment["metadata"]["annotations"][MINIMUM] = said

        live = await seen(opened)

        assert (live.replicas, live.ready, live.phase) == (5, 1, phase)
        if phase is Phase.READY:
            await opened.set_weights(SHOP, {1: 100}, fence(1))
        else:
            with pytest.raises(NotReady):
                await opened.set_weights(SHOP, {1: 100}, fence(1))

    run_virtual(main())


def test_a_minimum_that_rules_change_is_the_one_that_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        opened = AksSurface(nobody, LoopClock())
        await opened.ensure_site(SITE, fence(1))
        await opened.apply(revision(1), fence(1))

        minimums = []
        for rules in (ScalingRules(2, 5, BY_CPU), ScalingRules(3, 5, BY_CPU), None):
            await opened.set_scaling(SHOP, 1, rules, fence(1))
            minimums.append((await seen(opened)).minimum)

        assert minimums == [2, 3, None]

    run_virtual(main())
