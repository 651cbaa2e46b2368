"""What brings requests to a revision on a cluster, beside its weight, is shown where it is other.

The objects are those that the adapter makes, with what an API server fills in; each is changed, and
read by the adapter.
"""

from collections.abc import Callable
from typing import Any

import pytest

from shared.kernel.observation import Present
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import ROUTES, SERVICES
from shared.surfaces.aks.names import Installation
from shared.surfaces.properties import Plane
from shared.surfaces.spec import RevisionSpec
from tests.drift.generated_cluster import GeneratedCluster
from tests.drift.generated_environments import SITE
from tests.kit.told import component_of
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import fence

WEB = component_of("module-web")
DIGEST = f"sha256:{'a' * 64}"
OWN = Installation().namespace(SITE.environment, SITE.tenant)


def routing(change: Callable[[Object, Object, Object], Any], prefix: str | None = "/") -> Any:
    """Return the routing of the revision with most weight, after a *change* of what leads to it.

    That is its route, the Service of its component, and its own.
    """

    async def read() -> Any:
        cluster = GeneratedCluster(LoopClock(), SITE)
        one, two = (
            RevisionSpec(WEB, number, f"{number}.0", DIGEST, ("serve",), image="shop/web",
                         path_prefix=prefix)
            for number in (1, 2)
        )  # fmt: skip
        for spec in (one, two):
            await cluster.apply(spec, fence(1))
        await cluster.set_weights(WEB, {1: 60, 2: 40}, fence(2))
        change(
            cluster.of_component(ROUTES, one)["spec"],
            cluster.of_component(SERVICES, one)["spec"],
            cluster.owned(SERVICES, one)["spec"],
        )
        surface = cluster.surface()
        live = await surface.properties(WEB)
        await surface.close()
        assert isinstance(live, Present), live
        return live.value[1][Plane.ROUTING]

    return run_virtual(read())


@pytest.mark.parametrize("prefix", ["/", "/shop", None])
def test_what_the_platform_made_has_a_weight_and_its_path_only(prefix: str | None) -> None:
    expected = {"weight": "60"} if prefix is None else {"weight": "60", "pathPrefix": prefix}

    assert routing(lambda *_: None, prefix) == expected


@pytest.mark.parametrize(
    ("change", "path", "word"),
    [
        (lambda route, *_: route.update(hostnames=["b.test", "a.test"]), "hosts", "a.test, b.test"),
        (
            lambda route, *_: route["parentRefs"].append({"name": "public"}),
            "gateways",
            f"{OWN}/public, {OWN}/site",
        ),
        (
            lambda route, *_: route["parentRefs"][0].update(namespace="of-another-tenant"),
            "gateways",
            "of-another-tenant/site",
        ),
        (
            lambda route, *_: route["parentRefs"][0].update(sectionName="public"),
            "gateways",
            f'{OWN}/site {{"sectionName": "public"}}',
        ),
        (
            lambda route, *_: route["parentRefs"][0].update(kind="Service", group="", port=80),
            "gateways",
            f'{OWN}/site {{"group": "", "kind": "Service", "port": 80}}',
        ),
        (lambda route, *_: route.update(parentRefs=None), "gateways", "none"),
        (
            lambda route, *_: route["rules"][0].update(timeouts={"request": "1s"}),
            "timeouts",
            '{"request": "1s"}',
        ),
        (
            lambda route, *_: route["rules"][0]["matches"][0].update(method="GET"),
            "matches",
            '[{"method": "GET", "path": {"type": "PathPrefix", "value": "/"}}]',
        ),
        (
            lambda route, *_: route["rules"][0]["matches"][0]["path"].update(type="Exact"),
            "matches",
            '[{"path": {"type": "Exact", "value": "/"}}]',
        ),
        (
            lambda route, *_: route["rules"][0]["backendRefs"].append({"name": "mine", "port": 1}),
            "backends/mine",
            '{"name": "mine", "port": 1}',
        ),
        (
            lambda route, *_: route["rules"][0]["backendRefs"][0].update(namespace="other"),
            "backends/module-web-r1",
            '{"name": "module-web-r1", "namespace": "other", "port": 80, "weight": 60}',
        ),
        (lambda _, service, __: service.update(selector={"app": "mine"}), "service/selector",
         '{"app": "mine"}'),
        (lambda _, service, __: service.update(type="LoadBalancer"), "service/type",
         "LoadBalancer"),
        (lambda _, service, __: service.update(externalIPs=["10.9.9.9"]), "service/externalIPs",
         '["10.9.9.9"]'),
        (lambda _, __, own: own["ports"][0].update(targetPort=9090), "backend/ports", "80 to 9090"),
        (lambda _, __, own: own.update(selector=None), "backend/selector", "null"),
    ],
)  # fmt: skip
def test_what_somebody_changed_has_a_word(change: Callable[..., Any], path: str, word: str) -> None:
    assert routing(change)[path] == word


def test_a_host_of_somebody_else_is_no_change_of_the_path() -> None:
    words = routing(lambda route, *_: route.update(hostnames=["a.test"]))

    assert words == {"weight": "60", "pathPrefix": "/", "hosts": "a.test"}


def test_a_service_that_is_gone_is_absent() -> None:
    async def read() -> Any:
        cluster = GeneratedCluster(LoopClock(), SITE)
        spec = RevisionSpec(WEB, 1, "1.0", DIGEST, ("serve",), image="shop/web", path_prefix="/")
        await cluster.apply(spec, fence(1))
        await cluster.set_weights(WEB, {1: 100}, fence(2))
        for name in ("module-web", "module-web-r1"):
            del cluster.api.objects[SERVICES.plural, cluster.namespace, name]
        surface = cluster.surface()
        live = await surface.properties(WEB)
        await surface.close()
        assert isinstance(live, Present), live
        return live.value[1][Plane.ROUTING]

    words = run_virtual(read())

    assert (words["service"], words["backend"]) == ("absent", "absent")
