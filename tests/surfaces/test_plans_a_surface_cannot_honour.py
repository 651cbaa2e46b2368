"""A plan is checked whole; what cannot be honoured is refused with its reason."""

import json
from dataclasses import replace
from typing import Any

import pytest

from local_agent.capabilities import capabilities
from shared.contracts.gate_metrics import GateMetrics, GateSource
from shared.contracts.values import Isolation
from shared.kernel.errors import Invalid
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.spec import (
    CommandProbe,
    HttpProbe,
    Probe,
    Resources,
    SurfaceComponent,
    TcpProbe,
)
from shared.surfaces.surface_plan import SurfacePlan, check
from tests.surfaces.harness import ENVIRONMENT, SHOP, TEMPLATE

MODEST = Capabilities(
    "Modest",
    dict.fromkeys(set(Feature) - {Feature.ARTIFACTS}, "it is too modest"),
    replicas_max=2,
)
ABLE = Capabilities("Able", {}, replicas_max=10, weight_step_percent=10)


def _plan(weights: tuple[int, ...] = (100,), **changes: Any) -> SurfacePlan:
    bare: dict[str, Any] = {"readiness": None, "release": None, "path_prefix": None}
    return SurfacePlan({0: replace(TEMPLATE, **{**bare, **changes})}, weights)


@pytest.mark.parametrize(
    ("plan", "target"),
    [
        pytest.param(_plan((10, 100)), "/strategy/steps", id="a-split"),
        pytest.param(_plan(replicas=0), "/components/0/replicas", id="no-replicas"),
        pytest.param(_plan(port=None), "/components/0/port", id="a-worker"),
        pytest.param(_plan(path_prefix="/orders"), "/components/0/pathPrefix", id="a-prefix"),
        pytest.param(_plan(path_prefix="/"), "/components/0/pathPrefix", id="the-public-port"),
        pytest.param(
            _plan(readiness=HttpProbe("/")), "/components/0/probes/readiness/kind", id="a-probe"
        ),
        pytest.param(
            _plan(readiness=TcpProbe()), "/components/0/probes/readiness/kind", id="a-connection"
        ),
        pytest.param(
            _plan(liveness=CommandProbe(("up",))),
            "/components/0/probes/liveness/kind",
            id="a-program-that-asks",
        ),
        pytest.param(_plan(release=TEMPLATE.release), "/components/0/release", id="an-answer"),
        *(
            pytest.param(
                _plan(resources=Resources(**{field: 64})),
                f"/components/0/resources/{name}",
                id=f"a-limit-of-{name}",
            )
            for field, name in (
                ("memory_mb", "memoryMib"),
                ("cpu", "cpu"),
                ("open_files", "openFiles"),
                ("processes", "processes"),
            )
        ),
    ],
)
def test_what_a_surface_lacks_is_refused_with_the_reason(plan: SurfacePlan, target: str) -> None:
    (refusal,) = check(plan, MODEST)

    assert (refusal.code, refusal.target) == ("NotSupported", target)
    assert "it is too modest" in refusal.message
    assert check(plan, replace(ABLE, weight_step_percent=1)) == ()


UNCOUNTED = Capabilities(
    "Cluster", {Feature.REQUEST_COUNTERS: "its counters are unknown"}, replicas_max=9
)
MEASURED = GateMetrics(
    source=GateSource.PROMETHEUS, requests="r[{{window}}]", errors="e[{{window}}]"
)


@pytest.mark.parametrize("weights", [(10, 100), (100,)])
@pytest.mark.parametrize(
    ("metrics", "received"), [(None, "nothing"), (GateMetrics(), "source surface")]
)
def test_a_gate_of_requests_that_nobody_counts_is_refused(
    weights: tuple[int, ...], metrics: GateMetrics | None, received: str
) -> None:
    judged = replace(_plan(weights), is_gated=True, metrics=metrics, elsewhere=(ABLE,))

    (refusal,) = check(judged, UNCOUNTED)

    assert (refusal.code, refusal.target) == ("NotSupported", "/gate/metrics")
    assert refusal.message == (
        "Cluster cannot honour requestCounters for module-shop: its counters are unknown"
    )
    assert refusal.expected == (
        "source prometheus or azureMonitor or logAnalytics, with its queries, or computeTarget Able"
    )
    assert refusal.received == received
    assert check(replace(judged, metrics=MEASURED), UNCOUNTED) == ()
    assert check(judged, replace(UNCOUNTED, lacks={})) == ()


def test_the_gate_of_a_worker_counts_no_requests() -> None:
    judged = replace(_plan(port=None), is_gated=True)

    assert check(judged, UNCOUNTED) == ()


@pytest.mark.parametrize("word", list(Isolation))
def test_isolation_that_is_required_and_not_there_is_refused(word: Isolation) -> None:
    lacking = Capabilities("Open", {Feature(word): "no kernel for it"}, replicas_max=1)
    both = _plan(requires=("privateFiles", word))

    refusals = check(both, lacking)

    assert (refusals[-1].code, refusals[-1].target) == ("NotSupported", "/components/0/requires/1")
    assert refusals[-1].message == f"Open cannot honour {word} for module-shop: no kernel for it"
    assert refusals[-1].expected == f"a plan without {word}, or an environment with another target"
    assert check(both, replace(lacking, lacks={})) == ()


def test_a_refusal_names_the_targets_of_the_environment_that_would_do() -> None:
    plan = _plan(image="registry.test/shop/web", command=())
    local = Capabilities("Local", {Feature.IMAGES: "it runs archives"}, replicas_max=1)

    (refusal,) = check(replace(plan, elsewhere=(ABLE, MODEST)), local)

    assert refusal.message == "Local cannot honour images for module-shop: it runs archives"
    assert refusal.expected == "a plan without images, or computeTarget Able"
    assert refusal.received == f"registry.test/shop/web@{TEMPLATE.artifact}"


def test_a_startup_probe_needs_a_surface_that_asks_it_first() -> None:
    plan = _plan(startup=HttpProbe("/"))
    without = Capabilities("Eager", {Feature.STARTUP_PROBES: "it asks all at once"}, 1)

    assert [refusal.target for refusal in check(plan, without)] == ["/components/0/probes/startup"]


@pytest.mark.parametrize(
    ("probe", "wrong"),
    [
        pytest.param(HttpProbe("/", period_s=0.5), "multiples of 1 s", id="half-a-second"),
        pytest.param(HttpProbe("/", success_threshold=2), "must be 1", id="two-successes"),
    ],
)
def test_what_a_surface_cannot_time_or_count_is_refused(probe: HttpProbe, wrong: str) -> None:
    strict = replace(ABLE, probe_step_s=1.0, passes_at_once=frozenset({"liveness"}))

    (refusal,) = check(_plan(liveness=probe), strict)

    assert wrong in refusal.message
    assert check(_plan(liveness=probe), ABLE) == ()


def test_a_data_folder_that_a_surface_does_not_give_is_not_there() -> None:
    plan = _plan(data=("orders",), command=("serve", "$RUNTIME_DATA_ORDERS"))
    without = Capabilities("Stateless", {Feature.DATA_FOLDERS: "its disks end with it"}, 1)

    (refusal,) = check(plan, without)

    assert (refusal.code, refusal.target) == ("DataMissing", "/components/0/command/1")
    assert "its disks end with it" in refusal.message
    assert check(plan, ABLE) == ()


def test_a_need_that_no_spec_shows_is_checked_too() -> None:
    plan = replace(_plan(), features=frozenset({Feature.NAMESPACES, Feature.QUOTAS}))

    assert [r.received for r in check(plan, MODEST)] == ["namespaces", "quotas"]
    assert check(plan, ABLE) == ()


def test_every_refusal_is_listed() -> None:
    plan = _plan((5, 100), replicas=11, readiness=HttpProbe("no-slash", failure_threshold=0))

    targets = [refusal.target for refusal in check(plan, ABLE)]

    assert targets == [
        "/strategy/steps/0",
        "/components/0/replicas",
        "/components/0/probes/readiness",
    ]


@pytest.mark.parametrize(
    ("probe", "port", "wrong"),
    [
        pytest.param(HttpProbe("/"), None, "no port", id="nothing-to-ask"),
        pytest.param(HttpProbe("/", period_s=0), 80, "above 0", id="no-period"),
        pytest.param(HttpProbe("/", success_threshold=0), 80, "at least 1", id="no-threshold"),
        pytest.param(CommandProbe(()), 80, "no command", id="nothing-to-run"),
        pytest.param(TcpProbe(), None, "no port", id="nothing-to-connect-to"),
    ],
)
def test_a_probe_that_cannot_run_is_refused(probe: Probe, port: int | None, wrong: str) -> None:
    (refusal,) = check(_plan(liveness=probe, port=port), ABLE)

    assert wrong in refusal.message
    assert json.loads(refusal.received or "")["timeout_s"] == 5


def test_one_prefix_of_the_public_port_has_one_component() -> None:
    other = SurfaceComponent(ENVIRONMENT, SHOP.tenant, SHOP.module.__class__("module-other"))
    first = _plan(path_prefix="/").revisions[0]

    (refusal,) = check(SurfacePlan({0: first, 1: replace(first, component=other)}), ABLE)

    assert (refusal.code, refusal.target) == ("RouteTaken", "/components/1/pathPrefix")
    assert "module-shop" in refusal.message


def test_what_a_process_cannot_be_held_to_is_refused_on_this_machine() -> None:
    asked = _plan(resources=Resources(memory_mb=64, cpu=0.5, open_files=64, processes=4))

    refused = {refusal.target.rpartition("/")[2] for refusal in check(asked, capabilities())}

    assert refused - {"processes"} == {"cpu"}


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        pytest.param({"revision": 0}, "/revision", id="revision"),
        pytest.param({"command": ()}, "/command", id="command"),
        pytest.param({"replicas": -1}, "/replicas", id="replicas"),
        pytest.param({"artifact": "sha256:../../etc"}, "/artifact", id="artifact"),
        pytest.param({"path_prefix": "orders"}, "/pathPrefix", id="prefix"),
    ],
)
def test_a_spec_that_no_surface_could_run_cannot_be_made(
    changes: dict[str, Any], target: str
) -> None:
    with pytest.raises(Invalid) as refused:
        replace(TEMPLATE, **changes)

    assert refused.value.target == target


@pytest.mark.parametrize("module", ["", "../up", "Upper", "a" * 64, "-first"])
def test_a_module_is_named_so_that_it_fits_in_a_host_name(module: str) -> None:
    with pytest.raises(Invalid, match="moduleId"):
        replace(SHOP, module=module)
