"""The adapters of the surface port, behind one fixture.

A test of a feature (`@pytest.mark.shows`) runs on the surfaces that declare it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from local_agent.capabilities import capabilities
from local_cluster.gateway_routes import GATEWAY_CLASS
from shared.surfaces.aks.capabilities import capabilities as capabilities_of_cluster
from shared.surfaces.aks.cluster_offers import ClusterOffers
from shared.surfaces.aks.traffic_layer import TrafficLayer
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.spec import RevisionSpec
from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.memory_cluster import Behaviour, MemoryCluster
from tests.kit.memory_surface import CAPABILITIES, MemorySurface
from tests.kit.pod_cluster import pod_cluster
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SITE, TEMPLATE, SurfaceHarness, fence

__all__ = ["kubernetes_cluster", "pod_cluster"]
Scenario = Callable[[SurfaceHarness], Coroutine[Any, Any, None]]
RunScenario = Callable[[Scenario], None]


@asynccontextmanager
async def _in_memory() -> AsyncIterator[SurfaceHarness]:
    cluster = MemoryCluster(LoopClock(), SeededEntropy(1), requests_per_s=20)

    async def restart_host() -> MemorySurface:
        return MemorySurface(cluster)

    async def kill_host() -> None:
        """Nothing of this surface lives in a host."""

    def break_reads() -> None:
        cluster.unreadable = "the cluster is unreadable"

    def ending(spec: RevisionSpec, exit_code: int | None) -> RevisionSpec:
        artifact = f"sha256:{999 if exit_code is None else exit_code:064x}"
        behaviour = Behaviour(exit_code=exit_code or None, becomes_ready=exit_code is not None)
        cluster.behaviours[artifact] = behaviour
        return replace(spec, artifact=artifact)

    harness = SurfaceHarness(
        MemorySurface(cluster),
        cluster.clock,
        TEMPLATE,
        restart_host,
        kill_host,
        break_reads,
        ending,
    )
    await harness.surface.ensure_site(SITE, fence(1, "site"))
    yield harness


DECLARED: Final[Mapping[str, Capabilities]] = {
    "memory": CAPABILITIES,
    "local-process": capabilities(),
    "aks": capabilities_of_cluster(
        TrafficLayer(GATEWAY_CLASS),
        ClusterOffers(has_measures=True, has_events=True, lacks_secrets=""),
        counts=True,
        tries=True,
    ),
}
"""The surfaces, and what each can do here."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "run_scenario" not in metafunc.fixturenames:
        return
    marks = [*metafunc.definition.iter_markers("shows")]
    needed = {feature for mark in marks if "on" not in mark.kwargs for feature in mark.args}
    only = {mark.kwargs["on"] for mark in marks if "on" in mark.kwargs}
    able = [
        name
        for name, offered in DECLARED.items()
        if not needed & offered.lacks.keys() and (not only or name in only)
    ]
    assert able, f"no surface declares {sorted(needed)}"
    is_sample = metafunc.definition.get_closest_marker("sample") is not None
    params = [pytest.param(name, marks=_marks(name, is_sample=is_sample)) for name in able]
    metafunc.parametrize("run_scenario", params, indirect=True)


def _marks(name: str, *, is_sample: bool) -> Sequence[pytest.MarkDecorator]:
    """Return the marks of a test on the surface *name*.

    On a cluster each takes seconds of both processors, most of them to start pods.
    """
    if name == "memory":
        return ()
    is_long = name == "aks" and not is_sample
    return (pytest.mark.real, pytest.mark.long) if is_long else (pytest.mark.real,)


@pytest.fixture
def run_scenario(request: pytest.FixtureRequest, tmp_path: Path) -> RunScenario:
    """Run a scenario on a fresh harness: virtual time in memory; in real time through an agent."""
    if request.param == "memory":

        def run_in_memory(scenario: Scenario) -> None:
            async def run() -> None:
                async with _in_memory() as harness:
                    await scenario(harness)

            run_virtual(run())

        return run_in_memory

    if request.param == "aks":
        from tests.surfaces.aks_harness import aks_harness

        cluster = request.getfixturevalue("pod_cluster")

        def run_on_cluster(scenario: Scenario) -> None:
            async def run() -> None:
                async with aks_harness(cluster) as harness:
                    await scenario(harness)

            asyncio.run(run())

        return run_on_cluster

    from tests.surfaces.local_process_harness import agent_harness

    def run_for_real(scenario: Scenario) -> None:
        async def run() -> None:
            async with agent_harness(tmp_path) as harness:
                await scenario(harness)

        asyncio.run(run())

    return run_for_real
