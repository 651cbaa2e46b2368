"""A token that a kubelet gave a pod is for the module whose account it is, and for nothing else."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.context import Workload
from shared.kernel.errors import Invalid, Unauthenticated
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.platform_access import account_of
from shared.surfaces.spec import RevisionSpec, SurfaceComponent
from shared.web.roles import OF_WORKLOADS
from shared.web.tenancy import Grant, Tenancy, read_tenancy
from tests.surfaces.harness import TEMPLATE
from tests.web.tokens import AUDIENCE, ISSUER, Gate

CLUSTER: Final = ISSUER
ENVIRONMENT: Final = EnvironmentId("env-abcdefghijkl")
SHOP: Final = SurfaceComponent(ENVIRONMENT, TenantId("acme"), ModuleId("module-shop"))
OPS: Final = "system:serviceaccount:ops:reader"
OURS: Final = Installation("factory-runtime")


def of(component: SurfaceComponent) -> RevisionSpec:
    return replace(TEMPLATE, component=component)


def subject(
    account: SurfaceComponent = SHOP, *, place: SurfaceComponent = SHOP, ours: Installation = OURS
) -> str:
    namespace = ours.namespace(place.environment, place.tenant)
    return f"system:serviceaccount:{namespace}:{account_of(of(account))}"


def claims(sub: object = None, **changes: Any) -> dict[str, Any]:
    bound = {"namespace": "any", "pod": {"name": "module-shop-r1-x", "uid": "1"}}
    said = {"iss": CLUSTER, "sub": subject() if sub is None else sub, "kubernetes.io": bound}
    return {**said, **changes}


def tenancy(mappings: str = "") -> Tenancy:
    return read_tenancy([CLUSTER], mappings=mappings, clusters={CLUSTER: OURS.name})


def test_it_is_a_workload_of_its_module_as_its_own_instance() -> None:
    grant = tenancy().grant(claims(roles=["Runtime.Admin"], scp="runtime.admin", azp="ci"))

    workload = Workload(ENVIRONMENT, "module-shop", "module-shop-r1-x")
    assert grant == Grant(TenantId("acme"), OF_WORKLOADS, workload)


NAMES: Final = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES, st.from_regex(r"env-[a-z2-7]{12}", fullmatch=True), st.integers(1, 10**11))
def test_whatever_their_names_each_module_has_its_own(
    tenant: str, module: str, environment: str, revision: int
) -> None:
    component = SurfaceComponent(EnvironmentId(environment), TenantId(tenant), ModuleId(module))
    account = account_of(replace(of(component), revision=revision))
    namespace = OURS.namespace(component.environment, component.tenant)

    grant = tenancy().grant(claims(f"system:serviceaccount:{namespace}:{account}"))

    assert grant.tenant == tenant
    assert grant.workload == Workload(environment, module, "module-shop-r1-x")
    assert len(account) <= 253, "a name of Kubernetes"


GLOBEX: Final = replace(SHOP, tenant=TenantId("globex"))
ELSEWHERE: Final = replace(SHOP, environment=EnvironmentId("env-lkjihgfedcba"))
OF_NOBODY: Final = {
    "another-tenants-namespace": subject(SHOP, place=GLOBEX),
    "another-environments-namespace": subject(SHOP, place=ELSEWHERE),
    "a-namespace-of-somebody": f"system:serviceaccount:default:{account_of(of(SHOP))}",
    "another-installation": subject(ours=Installation("ci")),
    "the-account-of-the-tenant": subject().rpartition(":")[0] + ":tenant",
    "the-default-account": subject().rpartition(":")[0] + ":default",
    "no-revision": subject().replace(":r1.", ":"),
    "a-part-more": subject() + ".more",
    "a-user": "acme",
    "a-number": 7,
    "a-list": [subject()],
}


@pytest.mark.parametrize("sub", OF_NOBODY.values(), ids=OF_NOBODY.keys())
def test_an_account_that_the_platform_did_not_make_is_nobody(sub: object) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        tenancy().grant(claims(sub))

    assert (refusal.value.code, refusal.value.target) == ("UnmappedToken", "sub")


@pytest.mark.parametrize(
    "bound", [None, 7, {}, {"pod": None}, {"pod": "x"}, {"pod": {"name": ""}}, {"pod": {"name": 7}}]
)
def test_a_token_that_no_pod_has_is_refused(bound: object) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        tenancy().grant(claims(**{"kubernetes.io": bound}))

    assert (refusal.value.code, refusal.value.target) == ("UnmappedToken", "kubernetes.io")


def test_another_account_of_the_cluster_may_be_mapped() -> None:
    row = {"issuer": CLUSTER, "subject": OPS, "tenant": "acme", "roles": ["Runtime.Read"]}
    mapped = tenancy(json.dumps([row]))

    assert mapped.grant(claims(OPS)).workload is None
    assert mapped.grant(claims()).workload is not None


def test_a_cluster_names_no_tenants_by_a_claim() -> None:
    with pytest.raises(Invalid, match="is a cluster"):
        read_tenancy([CLUSTER], naming=[CLUSTER], clusters={CLUSTER: OURS.name})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"aud": "https://kubernetes.default.svc"}, "WrongAudience", id="audience"),
        pytest.param({"aud": [AUDIENCE, "another"]}, "WrongAudience", id="two-audiences"),
        pytest.param({"iss": "https://another-cluster.example"}, "WrongIssuer", id="cluster"),
        pytest.param({"exp": 1}, "TokenExpired", id="expired"),
        pytest.param({"sub": OF_NOBODY["another-tenants-namespace"]}, "UnmappedToken", id="tenant"),
    ],
)
async def test_each_rule_that_fails_has_a_code(changes: dict[str, Any], code: str) -> None:
    gate = Gate()
    gate.authenticator.tenancy = tenancy()
    own = {**claims(), "aud": [AUDIENCE], "tenantId": None, "roles": None}

    scope = await gate.authenticator.authenticate(f"Bearer {gate.token(**own)}", None)
    with pytest.raises(Unauthenticated) as refusal:
        await gate.authenticator.authenticate(f"Bearer {gate.token(**{**own, **changes})}", None)

    assert refusal.value.code == code
    assert (scope.tenant, scope.permissions) == ("acme", OF_WORKLOADS)
    assert scope.workload is not None
