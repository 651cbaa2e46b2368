"""Pods of a `live` module get a token of their revision's own account, and no other right."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from shared.kernel.observation import Present
from shared.surfaces.aks import surface
from shared.surfaces.aks.boundary_objects import ACCOUNTS
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import DEPLOYMENTS
from shared.surfaces.aks.live_properties import live_properties
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.observation import ComponentObjects
from shared.surfaces.aks.platform_access import PlatformAccess, account_of, component_of_subject
from shared.surfaces.aks.pods import pod_spec
from shared.surfaces.aks.proof import prove_pod
from shared.surfaces.aks.records import Records
from shared.surfaces.aks.revisions import deployment
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.properties import Plane, differences, revision_properties
from shared.surfaces.spec import RevisionSpec
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, TEMPLATE, fence

ACCESS = PlatformAccess("https://runtime.example", "api://factory-runtime")
SPEC = replace(
    TEMPLATE, image="registry.example/shop", path_prefix=None, release=None,
    follows_configuration=True,
)  # fmt: skip
NAMESPACE = Installation().namespace(SHOP.environment, SHOP.tenant)
IDENTITY = "11111111-2222-3333-4444-555555555555"
Scenario = Callable[[MemoryApiServer, AksSurface], Awaitable[None]]


def on_cluster(
    scenario: Scenario, patch: pytest.MonkeyPatch, access: PlatformAccess | None = ACCESS
) -> MemoryApiServer:
    server = MemoryApiServer()
    patch.setattr(surface, "ClusterApi", lambda _: server)

    async def nobody() -> Any:
        raise AssertionError("nothing is connected here")

    async def main() -> None:
        opened = AksSurface(nobody, LoopClock(), access=access)
        await opened.ensure_site(SITE, fence(1))
        await scenario(server, opened)

    run_virtual(main())
    return server


def applied(server: MemoryApiServer, spec: RevisionSpec = SPEC) -> dict[str, Any]:
    """Return the `spec` of the pods of *spec*, as it was applied."""
    found = server.objects[DEPLOYMENTS, NAMESPACE, f"module-shop-r{spec.revision}"]
    return dict(found["spec"]["template"]["spec"])


def environ(pod: Object) -> dict[str, str | None]:
    return {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}


def test_they_have_the_address_and_a_token_that_the_kubelet_renews() -> None:
    pod = pod_spec(replace(SPEC, environ={"RUNTIME_API_URL": "https://another"}), {}, ACCESS)

    given = environ(pod)
    assert given["RUNTIME_API_URL"] == "https://runtime.example"
    assert given["RUNTIME_API_TOKEN_FILE"] == "/runtime/api/token"
    (volume,) = [each for each in pod["volumes"] if each["name"] == "api"]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "audience": "api://factory-runtime", "expirationSeconds": 600, "path": "token",
    }  # fmt: skip
    mounts = {each["mountPath"]: each for each in pod["containers"][0]["volumeMounts"]}
    assert mounts["/runtime/api"] == {"name": "api", "mountPath": "/runtime/api", "readOnly": True}
    assert pod["automountServiceAccountToken"] is False


def test_the_account_is_of_one_revision_and_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(_: MemoryApiServer, opened: AksSurface) -> None:
        await opened.apply(SPEC, fence(2))
        await opened.apply(replace(SPEC, revision=2), fence(3))

    server = on_cluster(scenario, monkeypatch)

    names = [account_of(replace(SPEC, revision=number)) for number in (1, 2)]
    assert applied(server)["serviceAccountName"] == names[0]
    for number, name in enumerate(names, start=1):
        account = server.objects[ACCOUNTS, NAMESPACE, name]
        assert account["automountServiceAccountToken"] is False
        (owner,) = account["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Deployment", f"module-shop-r{number}")
        subject = f"system:serviceaccount:{NAMESPACE}:{name}"
        assert component_of_subject(Installation(), subject) == SHOP


@pytest.mark.parametrize(
    ("spec", "access", "identity"),
    [
        pytest.param(replace(SPEC, follows_configuration=False), ACCESS, None, id="not-live"),
        pytest.param(SPEC, None, None, id="nobody-named-the-issuer"),
        pytest.param(SPEC, ACCESS, IDENTITY, id="a-tenant-with-an-identity-has-its-account"),
    ],
)
def test_others_are_given_nothing(
    spec: RevisionSpec,
    access: PlatformAccess | None,
    identity: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        if identity is not None:
            boundary = BoundarySpec(SHOP.environment, SHOP.tenant, identity=identity)
            await opened.ensure_boundary(boundary, fence(1))
        await opened.apply(spec, fence(2))

    server = on_cluster(scenario, monkeypatch, access)

    assert "RUNTIME_API_URL" not in environ(applied(server))
    assert applied(server).get("serviceAccountName") == (None if identity is None else "tenant")
    accounts = [name for kind, _, name in server.objects if kind is ACCOUNTS]
    assert accounts == ["tenant"]


def pod(access: PlatformAccess | None = ACCESS) -> dict[str, Any]:
    template = deepcopy(deployment(SPEC, Installation(), None, access)["spec"]["template"])
    status = {
        "name": "main",
        "imageID": f"registry.example/shop@{SPEC.artifact}",
        "state": {"running": {"startedAt": "2026-11-28T22:48:06Z"}},
    }
    return {
        "metadata": {**template["metadata"], "name": "shop-r1-x", "namespace": NAMESPACE},
        "spec": {**template["spec"], "nodeName": "node-1"},
        "status": {"containerStatuses": [status]},
    }


def departs(found: Object, access: PlatformAccess | None = ACCESS) -> set[str]:
    now = datetime(2026, 11, 28, 23, tzinfo=UTC)
    api = cast("ClusterApi", None)  # it is not asked
    said = asyncio.run(prove_pod(api, found, SPEC, None, now, None, access))
    return {each.partition(" is ")[0] for each in said.departs}


def another_audience(found: dict[str, Any]) -> None:
    token = found["spec"]["volumes"][-1]["projected"]["sources"][0]["serviceAccountToken"]
    token["audience"] = "https://kubernetes.default.svc"


def another_account(found: dict[str, Any]) -> None:
    found["spec"]["serviceAccountName"] = "admin"


def the_identity_of_its_tenant(found: dict[str, Any]) -> None:
    found["metadata"]["labels"]["azure.workload.identity/use"] = "true"
    found["spec"]["serviceAccountName"] = "tenant"


def another_address(found: dict[str, Any]) -> None:
    for each in found["spec"]["containers"][0]["env"]:
        if each["name"] == "RUNTIME_API_URL":
            each["value"] = "https://another"


def given_another(access: PlatformAccess | None) -> Callable[[dict[str, Any]], None]:
    """Return an edit by which a pod, or a template, is as if *access* had been given to it."""

    def change(found: dict[str, Any]) -> None:
        made = deployment(SPEC, Installation(), None, access)["spec"]["template"]
        found["metadata"]["annotations"] = made["metadata"]["annotations"]
        found["spec"] = {**made["spec"], "nodeName": "node-1"}

    return change


GIVEN = {
    "serviceAccountName", "mounts/runtime/api", "environ/RUNTIME_API_URL",
    "environ/RUNTIME_API_TOKEN_FILE",
}  # fmt: skip
CHANGES = [
    pytest.param(lambda _: None, set(), id="as-it-was-made"),
    pytest.param(another_audience, {"mounts/runtime/api"}, id="another-audience"),
    pytest.param(another_account, {"serviceAccountName"}, id="another-account"),
    pytest.param(the_identity_of_its_tenant, {"serviceAccountName"}, id="its-tenants-account"),
    pytest.param(another_address, {"environ/RUNTIME_API_URL"}, id="another-address"),
    pytest.param(
        given_another(PlatformAccess("https://evil.example", "api://another")),
        {"mounts/runtime/api", "environ/RUNTIME_API_URL"},
        id="all-of-another-address",
    ),
    pytest.param(given_another(None), GIVEN, id="taken-away"),
]


@pytest.mark.parametrize(("change", "paths"), CHANGES)
def test_a_proof_departs_where_a_pod_has_another(
    change: Callable[[dict[str, Any]], None], paths: set[str]
) -> None:
    found = pod()

    change(found)

    assert departs(found) == paths


@pytest.mark.parametrize(("change", "paths"), CHANGES)
def test_live_properties_differ_where_the_template_has_another(
    change: Callable[[dict[str, Any]], None], paths: set[str]
) -> None:
    found = deployment(SPEC, Installation(), None, ACCESS)
    found["metadata"]["managedFields"] = []
    change(found["spec"]["template"])

    objects = ComponentObjects(SHOP, (found,), (), None, None, False)
    (live,) = live_properties(objects, {}, given={SPEC.revision: ACCESS}).values()
    seen = differences(revision_properties(SPEC, weight=100), live)

    assert {each.path for each in seen if each.plane is Plane.WORKLOAD} == paths


def test_pods_of_before_the_issuer_was_named_are_as_they_were_made() -> None:
    assert departs(pod(access=None), None) == set()


def test_a_pod_that_was_given_nothing_and_has_a_token_departs() -> None:
    assert departs(pod(), None) == GIVEN


def test_what_a_revision_was_given_is_remembered_until_it_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second, third = replace(SPEC, revision=2), replace(SPEC, revision=3)

    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.apply(SPEC, fence(2))
        await opened.apply(replace(second, follows_configuration=False), fence(3))
        await opened.apply(third, fence(4))
        await opened.remove(SHOP, 1, fence(5))

    server = on_cluster(scenario, monkeypatch)
    records = Records(cast("ClusterApi", server), Installation())

    assert run_virtual(records.given(SHOP)) == {3: ACCESS}


def test_a_workload_that_was_edited_differs_from_what_the_platform_remembers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.apply(SPEC, fence(2))
        edited = server.objects[DEPLOYMENTS, NAMESPACE, "module-shop-r1"]["spec"]["template"]
        given_another(PlatformAccess("https://evil.example", "api://another"))(edited)
        read = await opened.properties(SHOP)
        assert isinstance(read, Present)
        seen = differences(revision_properties(SPEC, weight=100), read.value[1])
        paths = {each.path for each in seen if each.plane is Plane.WORKLOAD}
        assert paths >= {"mounts/runtime/api", "environ/RUNTIME_API_URL"}

    on_cluster(scenario, monkeypatch)
