"""A plan is checked whole; what cannot be honoured is refused with its reason."""

import json
from dataclasses import replace
from typing import Any

import pytest

from local_agent.capabilities import capabilities
from shared.contracts.values import Isolation
from shared.kernel.errors import Invalid
from shared.surfaces.capabilities import Capabilities, Feature, SurfacePlan, check
from shared.surfaces.spec import HttpProbe, Resources, SurfaceComponent
from tests.surfaces.harness import ENVIRONMENT, SHOP, TEMPLATE

MODEST = Capabilities("Modest", dict.fromkeys(Feature, "it is too modest"), replicas_max=2)
ABLE = Capabilities("Able", {}, replicas_max=10, weight_step_percent=10)


def _plan(weights: tuple[int, ...] = (100,), **changes: Any) -> SurfacePlan:
    bare: dict[str, Any] = {"readiness": None, "release": None}
    return SurfacePlan({0: replace(TEMPLATE, **{**bare, **changes})}, weights)


@pytest.mark.parametrize(
    ("plan", "target"),
    [
        pytest.param(_plan((10, 100)), "/strategy/steps", id="a-split"),
        pytest.param(_plan(replicas=0), "/components/0/replicas", id="no-replicas"),
        pytest.param(_plan(port=None), "/components/0/port", id="a-worker"),
        pytest.param(_plan(path_prefix="/orders"), "/components/0/pathPrefix", id="a-prefix"),
        pytest.param(_plan(readiness=HttpProbe("/")), "/components/0/probes", id="a-probe"),
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


@pytest.mark.parametrize("word", list(Isolation))
def test_isolation_that_is_required_and_not_there_is_refused(word: Isolation) -> None:
    lacking = Capabilities("Open", {Feature(word): "no kernel for it"}, replicas_max=1)
    both = _plan(requires=("privateFiles", word))

    refusals = check(both, lacking)

    assert (refusals[-1].code, refusals[-1].target) == ("NotSupported", "/components/0/requires/1")
    assert refusals[-1].message == f"Open cannot honour {word}: no kernel for it"
    assert refusals[-1].expected == f"a plan without {word}, or another compute target"
    assert check(both, replace(lacking, lacks={})) == ()


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
    ],
)
def test_a_probe_that_cannot_run_is_refused(probe: HttpProbe, port: int | None, wrong: str) -> None:
    (refusal,) = check(_plan(liveness=probe, port=port), ABLE)

    assert wrong in refusal.message
    assert json.loads(refusal.received or "")["path"] == "/"


def test_one_prefix_of_the_public_port_has_one_component() -> None:
    other = SurfaceComponent(ENVIRONMENT, SHOP.tenant, SHOP.module.__class__("module-other"))
    first = _plan().revisions[0]

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
