"""What a pod can count on, seen from inside it, and how it says what is wrong."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, cast

import aiohttp
import pytest
from yarl import URL

from shared.kernel.observation import Present
from shared.surfaces.aks.answer_shapes import named_object
from shared.surfaces.aks.kinds import DEPLOYMENTS
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import FieldTaken
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.properties import Difference, Plane, differences, revision_properties
from shared.surfaces.spec import CommandProbe, HttpProbe, Resources
from tests.surfaces.aks_harness import AksHarness, ask
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(
    Feature.IMAGES, Feature.COMMAND_PROBES, Feature.STARTUP_PROBES, Feature.MEMORY_LIMIT,
    Feature.CPU_LIMIT, Feature.OWN_PROCESSES, Feature.PRIVATE_FILES, Feature.OWN_PORTS,
    Feature.READ_ONLY_PROGRAM, on="aks",
)  # fmt: skip


def instances(live: LiveComponent) -> tuple[Instance, ...]:
    return tuple(each for revision in live.revisions for each in revision.instances)


async def first(harness: SurfaceHarness, holds: Callable[[Instance], bool]) -> Instance:
    """Return the first instance for which *holds*, when there is one."""
    live = await harness.until(lambda live: any(map(holds, instances(live))))
    return next(filter(holds, instances(live)))


async def edit(harness: AksHarness, name: str, container: Mapping[str, Any]) -> None:
    """Change the container of a Deployment, as `kubectl edit` does."""
    spec = {"template": {"spec": {"containers": [{"name": "main", **container}]}}}
    await harness.api._json(
        "PATCH",
        DEPLOYMENTS.path(harness.namespace, name),
        params={"fieldManager": "kubectl-edit"},
        body={"spec": spec},
        content_type="application/strategic-merge-patch+json",
        shape=named_object,
    )


def test_a_pod_has_what_it_was_given_and_no_more(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        environ = {"VERSION": "1.0", "AT": "$HOME:$PORT", "LITERAL": "$(AT) $OTHER"}
        limits = Resources(memory_mb=128, cpu=0.5)
        await harness.serve(harness.spec(1, resources=limits, environ=environ))
        pod = await first(harness, lambda each: each.is_ready)

        found = await ask(cluster.api, cluster.namespace, pod, "/inside")

        assert found["environ"]["AT"] == "/runtime/home:8080"
        assert found["environ"]["LITERAL"] == "$(AT) $OTHER"
        assert found["environ"]["RUNTIME_INSTANCE_ID"] == pod.id
        assert found["inside"]["uid"] == 65532
        assert found["inside"]["processes"] == [1]
        assert found["inside"]["wrote"] == ["/runtime/home", "/tmp"]
        assert found["inside"]["cpuQuota"] in {50_000, None}  # None: not to be seen in there

    run_scenario(scenario)


def test_a_pod_that_takes_too_much_memory_says_so(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await harness.serve(harness.spec(1, resources=Resources(memory_mb=64)))
        pod = await first(harness, lambda each: each.is_ready)

        answered = await ask(cluster.api, cluster.namespace, pod, "/eat")

        assert answered["reason"] == "ServiceUnavailable"  # the API server's word: it was killed
        killed = await first(harness, lambda each: each.exit_reason == "MemoryExceeded")
        assert killed.last_exit == "memory limit exceeded"

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        pytest.param(
            {"artifact": "sha256:" + "0" * 64}, "CannotStart", "sha256:000", id="no-image"
        ),
        pytest.param({"command": ("/nothing",)}, "CannotStart", "/nothing", id="no-program"),
        pytest.param(
            {"resources": Resources(cpu=5000)}, "CannotStart", "Insufficient cpu", id="no-room"
        ),
        pytest.param(
            {"readiness": HttpProbe("/sick", period_s=1)}, "ProbeFailed", "main", id="not-ready"
        ),
    ],
)
def test_a_pod_that_does_not_come_up_says_why(
    run_scenario: RunScenario, changes: Mapping[str, Any], reason: str, words: str
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.surface.apply(replace(harness.spec(1), **changes), fence(1))

        pod = await first(harness, lambda each: each.reason == reason and words in each.message)

        assert not pod.is_ready

    run_scenario(scenario)


def test_programs_in_the_pod_are_asked_by_probes(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        connect = "import socket; socket.create_connection(('127.0.0.1', 8080)).close()"
        probe = CommandProbe((*harness.template.command[:2], "-c", connect), period_s=1)

        await harness.serve(harness.spec(1, readiness=probe, startup=probe))

        proofs = await harness.surface.prove(SHOP)
        assert isinstance(proofs, Present)
        assert [proof.holds for proof in proofs.value] == [True]

    run_scenario(scenario)


def test_what_others_changed_is_seen_and_never_overwritten(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        spec = harness.spec(1)
        await harness.serve(spec, weights={1: 100})
        environ = [{"name": "VERSION", "value": "9.9"}, {"name": "DEBUG", "value": "1"}]

        await edit(cluster, "module-shop-r1", {"env": environ})

        live = await harness.surface.properties(SHOP)
        assert isinstance(live, Present)
        assert differences(revision_properties(spec, weight=100), live.value[1]) == (
            Difference(Plane.WORKLOAD, "environ/DEBUG", None, "1"),
            Difference(Plane.WORKLOAD, "environ/VERSION", "1.0", "9.9"),
        )
        with pytest.raises(FieldTaken, match="kubectl-edit") as refused:
            await harness.surface.apply(spec, fence(1))
        assert 'env[name="VERSION"].value' in refused.value.message

    run_scenario(scenario)


def test_requests_through_the_gateway_are_counted_for_each_revision(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})
        live = await harness.until(lambda live: live.endpoint is not None)
        site = await harness.surface.read_site(ENVIRONMENT)
        assert isinstance(site, Present)
        before = await harness.surface.traffic(SHOP)
        assert isinstance(before, Present)

        place = URL(live.endpoint or "")
        headers = {"Host": f"{place.host}:{place.port}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            for _ in range(5):
                async with session.get(URL(site.value.endpoint).with_path(place.path)) as answered:
                    await answered.read()

        after = await harness.surface.traffic(SHOP)
        assert isinstance(after, Present)
        assert after.value.epoch == before.value.epoch
        since = after.value.since(before.value)
        assert {number: each.requests for number, each in since.items()} == {1: 5}

    run_scenario(scenario)
