"""A writer that was overtaken between any two of its requests leaves its successor's objects."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import pytest

from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.fence import StaleFence
from shared.surfaces.aks import surface
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.kinds import (
    AUTOSCALERS,
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    GATEWAY_CLASSES,
    GATEWAYS,
    NAMESPACES,
    PODS,
    SERVICES,
    Kind,
)
from shared.surfaces.aks.names import REVISION, Installation
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.errors import ClusterNotPrepared, ObjectRefused
from shared.surfaces.scaling import Measure, ScalingRules, UtilizationRule
from shared.surfaces.spec import Resources, RevisionSpec
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, TEMPLATE, fence

NAMESPACE: Final = Installation().namespace(SHOP.environment, SHOP.tenant)
RULES: Final = ScalingRules(1, 5, (UtilizationRule(Measure.CPU, 60),))
Scenario = Callable[[MemoryApiServer, AksSurface], Awaitable[None]]


@pytest.fixture
def on_cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    """Runs a scenario on a cluster with a site and no gateway."""

    async def main(scenario: Scenario) -> None:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        opened = AksSurface(nobody, LoopClock())
        await opened.ensure_site(SITE, fence(1))
        await scenario(server, opened)

    return lambda scenario: run_virtual(main(scenario))


async def nobody() -> None:
    raise AssertionError("nothing is connected here")


def revision(number: int) -> RevisionSpec:
    return replace(
        TEMPLATE,
        revision=number,
        version=f"{number}.0",
        image="registry.example/shop",
        artifact=f"sha256:{number:064x}",
        resources=Resources(cpu=0.5),
    )


def add_ready_pod(server: MemoryApiServer, number: int) -> None:
    name = f"module-shop-r{number}-x"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T23:00:00Z"}
    running = {"running": {"startedAt": "2025-12-31T23:00:00Z"}}
    server.objects[PODS, NAMESPACE, name] = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": Installation().of_revision(SHOP, number),
            "creationTimestamp": "2025-12-31T23:00:00Z",
        },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "conditions": [ready],
            "containerStatuses": [
                {"name": "main", "ready": True, "started": True, "state": running}
            ],
        },
    }


def selected(server: MemoryApiServer) -> str:
    service = server.objects[SERVICES, NAMESPACE, "module-shop"]
    return str(service["spec"]["selector"][REVISION])


@pytest.mark.parametrize("was_there", [True, False])
def test_weights(on_cluster: Callable[[Scenario], None], *, was_there: bool) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        for number in (1, 2):
            await opened.apply(revision(number), fence(1))
            add_ready_pod(server, number)
        if was_there:
            await opened.set_weights(SHOP, {2: 100}, fence(1))

        async def successor() -> None:
            await opened.set_weights(SHOP, {2: 100}, fence(3))

        server.before("put", SERVICES, successor)
        with pytest.raises(StaleFence):
            await opened.set_weights(SHOP, {1: 100}, fence(2))

        assert selected(server) == "2"

    on_cluster(scenario)


@pytest.mark.parametrize("verb", ["get", "delete"])
def test_a_removal(on_cluster: Callable[[Scenario], None], verb: str) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.apply(revision(1), fence(1))
        add_ready_pod(server, 1)
        await opened.set_weights(SHOP, {1: 100}, fence(1))
        await opened.set_weights(SHOP, {}, fence(1))

        async def successor() -> None:
            await opened.apply(revision(2), fence(3))
            add_ready_pod(server, 2)
            await opened.set_weights(SHOP, {2: 100}, fence(3))

        server.before(verb, SERVICES, successor)
        with pytest.raises(StaleFence):
            await opened.remove(SHOP, 1, fence(2))

        assert selected(server) == "2"

    on_cluster(scenario)


@pytest.mark.parametrize("kind", [DEPLOYMENTS, BUDGETS, SERVICES], ids=lambda kind: str(kind.name))
def test_a_revision_that_was_absent(on_cluster: Callable[[Scenario], None], kind: Kind) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        async def successor() -> None:
            await opened.remove(SHOP, 1, fence(3))
            server.writes.clear()

        server.before("put", kind, successor)
        with_fence = opened.apply(revision(1), fence(2))
        if kind is SERVICES:
            await with_fence  # its last object
        else:
            with pytest.raises(StaleFence):
                await with_fence

        assert server.writes == [("put", kind)]

    on_cluster(scenario)


def test_a_revision_that_its_successor_made(on_cluster: Callable[[Scenario], None]) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        async def successor() -> None:
            await opened.apply(replace(revision(1), replicas=3), fence(3))

        server.before("put", DEPLOYMENTS, successor)
        with pytest.raises(StaleFence):
            await opened.apply(revision(1), fence(2))

        deployment = server.objects[DEPLOYMENTS, NAMESPACE, "module-shop-r1"]
        assert deployment["spec"]["replicas"] == 3

    on_cluster(scenario)


def test_rules_that_are_refused_leave_the_owner(on_cluster: Callable[[Scenario], None]) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.apply(revision(1), fence(1))
        server.refusals[AUTOSCALERS] = ApiRefusal(422, "Invalid", "no autoscalers here", ())

        with pytest.raises(ObjectRefused, match="no autoscalers here"):
            await opened.set_scaling(SHOP, 1, RULES, fence(1))

        await opened.scale(SHOP, 1, 3, fence(1))
        deployment = server.objects[DEPLOYMENTS, NAMESPACE, "module-shop-r1"]
        assert deployment["spec"]["replicas"] == 3

    on_cluster(scenario)


@pytest.mark.parametrize(
    "gone",
    [
        ApiRefusal(404, "", "the API server answered 404", ()),
        ApiRefusal(404, "NotFound", "the server could not find the requested resource", ()),
    ],
    ids=["of-a-definition", "built-in"],
)
def test_a_kind_that_is_not_served_any_more_is_no_other_writer(
    on_cluster: Callable[[Scenario], None], gone: ApiRefusal
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        server.refusals[BUDGETS] = gone

        with pytest.raises(ObjectRefused, match="does not serve PodDisruptionBudget"):
            await opened.apply(revision(1), fence(1))

    on_cluster(scenario)


def test_a_cluster_without_the_platforms_namespace_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        absent = ApiRefusal(404, "NotFound", 'namespaces "factory-runtime" not found', ())
        server.refusals[CONFIG_MAPS] = absent
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)

        with pytest.raises(ClusterNotPrepared, match=r"kubectl apply .*rbac\.yaml"):
            await AksSurface(nobody, LoopClock()).ensure_site(SITE, fence(1))

        assert len(server.writes) == 1

    run_virtual(main())


BY_MEMORY: Final = UtilizationRule(Measure.MEMORY, 60)


@pytest.mark.parametrize(
    ("rules", "pointer"),
    [
        (replace(RULES, minimum=0), "/minimum"),
        (replace(RULES, cooldown_s=7200), "/cooldown"),
        (replace(RULES, rules=(UtilizationRule(Measure.CPU, 0),)), "/rules/0"),
        (replace(RULES, rules=(*RULES.rules, BY_MEMORY)), "/rules/1"),
    ],
    ids=["to-nothing", "too-slow", "no-share", "of-no-request"],
)
def test_rules_that_no_autoscaler_can_follow_are_refused_by_name(
    on_cluster: Callable[[Scenario], None], rules: ScalingRules, pointer: str
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.apply(revision(1), fence(1))
        server.writes.clear()

        with pytest.raises(Invalid) as refused:
            await opened.set_scaling(SHOP, 1, rules, fence(1))

        assert refused.value.target == pointer
        assert server.writes == []

    on_cluster(scenario)


@pytest.mark.parametrize("kind", [NAMESPACES, GATEWAYS], ids=lambda kind: str(kind.name))
def test_a_site_that_is_going_is_not_there_yet(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
        metadata = {"name": "c"}
        server.objects[GATEWAY_CLASSES, None, "c"] = {"metadata": metadata, "status": accepted}
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        opened = AksSurface(nobody, LoopClock())
        with pytest.raises(Unavailable, match="has no address yet"):
            await opened.ensure_site(SITE, fence(1))
        key = (NAMESPACES, None, NAMESPACE) if kind is NAMESPACES else (GATEWAYS, NAMESPACE, "site")
        server.end(kind, key[2], key[1])
        server.writes.clear()

        with pytest.raises(Unavailable, match="is still being deleted"):
            await opened.ensure_site(SITE, fence(1))

        assert server.writes == []
        del server.objects[key]
        with pytest.raises(Unavailable, match="has no address yet"):
            await opened.ensure_site(SITE, fence(1))
        assert key in server.objects

    run_virtual(main())
