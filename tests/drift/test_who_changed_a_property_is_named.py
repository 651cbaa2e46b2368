"""A finding says who set the live value, where the surface keeps that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from shared.contracts.values import ComputeTargetKind
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.field_managers import authors
from shared.surfaces.aks.names import MANAGER
from shared.surfaces.spec import SurfaceComponent
from tests.drift.compared import Drift, released_and_settled, virtual
from tests.drift.generated_environments import WEB, Environment, generated

PATH: Final = "workload/environ/MODE"


@dataclass
class Authors:
    """Knows who set which property of every revision, or answers nothing."""

    known: Reading[Mapping[str, str]]

    async def authors(
        self, _component: SurfaceComponent, _revision: int
    ) -> Reading[Mapping[str, str]]:
        return self.known


def main_container(pod: Object) -> Object:
    found: Object = next(each for each in pod["containers"] if each["name"] == "main")
    return found


async def on_cluster(change: Any, manager: str) -> Mapping[str, Any]:
    """Return who set what, by the findings after *manager* made a *change* of the pods of WEB."""
    made: Environment = await generated(3, "cluster")
    assert made.cluster is not None
    made.cluster.edit(made.spec(WEB), lambda pod: change(main_container(pod)), manager)
    await made.scan_now(300)
    return {each["path"]: each["actor"] for each in await made.findings()}


async def tampered(known: Reading[Mapping[str, str]]) -> Drift:
    """Return the service with a finding of a variable, on a surface that *known* answers."""
    made = await released_and_settled(environ={"MODE": "fast"})
    says(made, known)
    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)
    return made


def says(made: Drift, known: Reading[Mapping[str, str]]) -> None:
    made.app = replace(made.app, authors={ComputeTargetKind.LOCAL_PROCESS: Authors(known)})


@pytest.mark.parametrize(
    ("change", "path", "manager"),
    [
        (lambda main: main.update(image="shop/other:1"), "image", "kubectl-set"),
        (lambda main: main["command"].append("-v"), "command", "kubectl-edit"),
        (lambda main: main["readinessProbe"].update(periodSeconds=77), "probes/readiness", "flux"),
        (
            lambda main: main["env"].append({"name": "DEBUG", "value": "1"}),
            "environ/DEBUG",
            "kubectl-set",
        ),
        (
            lambda main: main["resources"]["limits"].update(memory="4Gi"),
            "resources/memoryMib",
            "vpa-updater",
        ),
    ],
    ids=["image", "command", "probe", "variable", "limit"],
)
@virtual
async def test_the_manager_of_a_field_is_the_actor_of_its_finding(
    change: Any, path: str, manager: str
) -> None:
    assert (await on_cluster(change, manager))[path] == manager


@virtual
async def test_nobody_is_known_of_what_was_taken_away() -> None:
    found = await on_cluster(lambda main: main.pop("livenessProbe"), "kubectl-edit")

    assert found["probes/liveness"] is None


@virtual
async def test_an_event_of_a_finding_names_the_actor_too() -> None:
    made = await tampered(Present({PATH: "kubectl-edit"}))

    assert (await made.only())["actor"] == "kubectl-edit"
    assert made.told("RuntimeDriftDetected")[0]["actor"] == "kubectl-edit"


@pytest.mark.parametrize("known", [Absent(), Unknown("it is away"), Present({})])
@virtual
async def test_what_the_surface_does_not_say_leaves_the_actor_open(known: Any) -> None:
    made = await tampered(known)

    assert (await made.only())["actor"] is None


@virtual
async def test_a_surface_that_does_not_know_has_findings_without_an_actor() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})

    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)

    assert (await made.only())["actor"] is None


@virtual
async def test_an_actor_stays_while_the_value_does_and_goes_with_it() -> None:
    made = await tampered(Present({PATH: "kubectl-edit"}))

    says(made, Unknown("it is away"))
    await made.scan(300)
    assert (await made.only())["actor"] == "kubectl-edit"

    made.tamper(environ={"MODE": "slower"})
    await made.scan(300)
    assert (await made.only())["actor"] is None


def workload(*managers: tuple[str, str, Object]) -> Object:
    """Return a Deployment whose fields are owned so: manager, time, fields of its spec."""
    entries = [
        {"manager": name, "time": at, "fieldsV1": {"f:spec": fields}}
        for name, at, fields in managers
    ]
    return {"metadata": {"managedFields": entries}, "spec": {}}


def test_of_several_owners_the_last_is_named_and_the_platform_never() -> None:
    fields: Object = {"f:replicas": {}}
    found = workload(
        ("kubectl-scale", "2026-01-02T00:00:00Z", fields),
        ("kubectl-edit", "2026-01-01T00:00:00Z", fields),
        (MANAGER, "2026-01-03T00:00:00Z", fields),
    )

    assert authors(found, None) == {"replicas/replicas": "kubectl-scale"}


def test_the_owner_of_the_rules_of_a_route_is_named_for_its_weights() -> None:
    route = workload(("kubectl-edit", "2026-01-01T00:00:00Z", {"f:rules": {}}))

    assert authors(workload(), route)["routing/weight"] == "kubectl-edit"


@pytest.mark.parametrize("name", ["", "a\x1b[2J", "n" * 129, None], ids=str)
def test_a_name_that_cannot_be_shown_is_nobody(name: Any) -> None:
    assert authors(workload((name, "2026-01-01T00:00:00Z", {"f:replicas": {}})), None) == {}
