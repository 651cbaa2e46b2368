"""Whose token it is: named by an issuer that may, else mapped by directory and client."""

import asyncio
import json
from dataclasses import replace
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_host.host import HostSettings
from local_host.model import App, HttpAnswer, HttpCall
from shared.kernel import ids
from shared.kernel.context import Workload
from shared.kernel.errors import Denied, Invalid, Unauthenticated
from shared.triggers.http_triggers import bind_routes
from shared.web.authentication import FileKeys
from shared.web.issuer import AUDIENCE, DEV_ISSUER
from shared.web.roles import OF_WORKLOADS
from shared.web.tenancy import (
    MAPPINGS_MAX,
    TENANT_ISSUERS,
    TENANTS,
    Grant,
    Tenancy,
    TenantMapping,
    read_tenancy,
)
from tests.kit.hosting import hosting
from tests.kit.service import bench
from tests.web.issuers import DIRECTORY, OTHER_DIRECTORY, issuers
from tests.web.test_requests_and_answers import ROUTES, error
from tests.web.tokens import RSA_KEY, Gate, jwk, signed, with_library

V1: Final = f"https://sts.windows.net/{DIRECTORY}/"
V2: Final = f"https://login.microsoftonline.com/{DIRECTORY}/v2.0"
PLAIN: Final = "https://issuer.test"
PIPELINE: Final = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
PORTAL: Final = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ROWS: Final[list[dict[str, Any]]] = [
    {"issuer": V2, "tid": DIRECTORY, "client": PIPELINE, "tenant": "acme",
     "roles": ["Runtime.Deploy"], "claimable": ["Runtime.Operate"]},
    {"issuer": V2, "tid": DIRECTORY, "client": PORTAL, "tenant": "globex"},
    {"issuer": V1, "tid": DIRECTORY, "client": PIPELINE, "tenant": "acme"},
    {"issuer": PLAIN, "client": "ci", "tenant": "acme", "roles": ["Runtime.Read"]},
    {"issuer": PLAIN, "subject": "system:serviceaccount:acme:shop", "tenant": "acme",
     "workload": {"environmentId": "env-abcdefghijkl", "moduleId": "module-shop"}},
    {"issuer": PLAIN, "subject": "system:serviceaccount:acme:ops", "tenant": "acme",
     "roles": ["Runtime.Read"]},
]  # fmt: skip
TRUSTED: Final = [V1, V2, PLAIN, DEV_ISSUER]
TENANCY: Final = read_tenancy(TRUSTED, naming=[DEV_ISSUER], mappings=json.dumps(ROWS))
# Claims as Entra ID documents them for access tokens.
APP_V2: Final = {
    "aud": AUDIENCE, "iss": V2, "azp": PIPELINE, "azpacr": "1", "idtyp": "app", "oid": PORTAL,
    "rh": "0.AX", "sub": PORTAL, "tid": DIRECTORY, "uti": "x", "ver": "2.0",
}  # fmt: skip
USER_V2: Final = {
    "aud": AUDIENCE, "iss": V2, "azp": PORTAL, "azpacr": "0", "name": "Ann", "oid": PIPELINE,
    "preferred_username": "ann@acme.example", "scp": "user_impersonation", "sub": "AAbb",
    "tid": DIRECTORY, "uti": "x", "ver": "2.0",
}  # fmt: skip
APP_V1: Final = {
    "aud": AUDIENCE, "iss": V1, "appid": PIPELINE, "appidacr": "1", "idp": V1, "idtyp": "app",
    "oid": PORTAL, "rh": "0.AX", "sub": PORTAL, "tid": DIRECTORY, "uti": "x", "ver": "1.0",
}  # fmt: skip
USER_V1: Final = APP_V1 | {"scp": "runtime.drift.read", "upn": "ann@acme.example", "acr": "1"}


def granted(claims: dict[str, Any], **changes: Any) -> Grant:
    given_claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return TENANCY.grant(given_claims)


def refused(claims: dict[str, Any], **changes: Any) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refusal:
        granted(claims, **changes)
    return refusal.value


SHAPES: Final = {
    "application-v2": (APP_V2, "acme", True),
    "application-v1": (APP_V1, "acme", False),
    "user-v2": (USER_V2, "globex", False),
    "user-v1": (USER_V1, "acme", False),
    "another-issuer": ({"iss": PLAIN, "azp": "ci", "sub": "ci"}, "acme", False),
}


@pytest.mark.parametrize(("claims", "tenant", "may_deploy"), SHAPES.values(), ids=SHAPES.keys())
def test_a_token_is_for_the_tenant_of_its_client(
    claims: dict[str, Any], tenant: str, *, may_deploy: bool
) -> None:
    grant = granted(claims)

    assert grant.tenant == tenant
    assert ("runtime.deployments.write" in grant.permissions) is may_deploy


def test_app_roles_and_scopes_count_within_what_the_client_may_claim() -> None:
    admin = granted(APP_V2, roles=["Runtime.Admin", "Runtime.Operate", "Another.Role"])
    user = granted(USER_V2, scp="runtime.drift.read openid", roles=["Runtime.Read"])

    assert "runtime.scaling.write" in admin.permissions
    assert not {"runtime.admin", "runtime.tenants.write"} & admin.permissions
    assert {"runtime.drift.read", "runtime.deployments.read"} <= user.permissions
    assert granted(USER_V1).permissions == {"runtime.drift.read"}


@pytest.mark.parametrize("scp", ["user_impersonation", "", 7, ["x"]])
def test_a_user_gets_nothing_by_the_roles_of_the_client(scp: object) -> None:
    assert granted(APP_V2, scp=scp).permissions == frozenset()


UNMAPPED: Final[dict[str, tuple[dict[str, Any], dict[str, Any], str]]] = {
    "client-of-nobody": (APP_V2, {"azp": OTHER_DIRECTORY}, "azp"),
    "client-of-nobody-v1": (APP_V1, {"appid": OTHER_DIRECTORY}, "appid"),
    "client-of-another-issuer": (APP_V1, {"appid": PORTAL}, "appid"),
    "client-in-upper-case": (APP_V2, {"azp": PIPELINE.upper()}, "azp"),
    "no-client": (APP_V2, {"azp": None}, "azp"),
    "client-is-a-list": (APP_V2, {"azp": [PIPELINE]}, "azp"),
    "two-clients": (APP_V2, {"appid": PORTAL}, "azp"),
    "another-directory": (APP_V2, {"tid": OTHER_DIRECTORY}, "tid"),
    "no-directory": (APP_V2, {"tid": None}, "tid"),
    "directory-is-a-number": (APP_V2, {"tid": 7}, "tid"),
    "directory-where-none-is": ({"iss": PLAIN, "azp": "ci", "sub": "ci"}, {"tid": "acme"}, "tid"),
    "tenant-that-the-token-names": (APP_V2, {"azp": PORTAL + "x", "tenantId": "acme"}, "azp"),
    "tenant-as-directory": (APP_V2, {"tid": "acme"}, "tid"),
}


@pytest.mark.parametrize(("claims", "changes", "claim"), UNMAPPED.values(), ids=UNMAPPED.keys())
def test_a_token_that_nobody_mapped_is_refused_and_the_claim_is_named(
    claims: dict[str, Any], changes: dict[str, Any], claim: str
) -> None:
    refusal = refused(claims, **changes)

    assert (refusal.code, refusal.target) == ("UnmappedToken", claim)
    assert claim in refusal.message


def test_only_an_issuer_that_may_names_the_tenant_itself() -> None:
    named = {"iss": DEV_ISSUER, "sub": "ann", "tenantId": "initech", "roles": ["Runtime.Read"]}

    assert granted(named).tenant == "initech"
    assert granted(APP_V2, tenantId="initech").tenant == "acme"
    assert refused(named, tenantId=None, tid="initech", azp=PIPELINE).code == "NoTenant"
    assert Tenancy().naming == {DEV_ISSUER}


async def test_the_header_must_agree_with_the_mapping() -> None:
    gate = Gate()
    row = TenantMapping(issuer="https://issuer.example/v2.0", client="ci", tenant="acme")  # type: ignore[arg-type]
    gate.authenticator.tenancy = Tenancy((), [row])
    token = f"Bearer {gate.token(azp='ci', tenantId='globex')}"

    scope = await gate.authenticator.authenticate(token, "acme")
    with pytest.raises(Denied, match="X-Tenant-Id"):
        await gate.authenticator.authenticate(token, "globex")

    assert scope.tenant == "acme"


CALLERS: Final[list[tuple[dict[str, Any], str]]] = [
    (APP_V2, f"app:{PIPELINE}"), (APP_V1, f"app:{PIPELINE}"),
    (USER_V2, "user:ann@acme.example"), (USER_V1, "user:ann@acme.example"),
]  # fmt: skip


@pytest.mark.parametrize(("claims", "caller"), CALLERS)
async def test_the_audit_trail_shows_the_user_or_else_the_client(
    claims: dict[str, Any], caller: str
) -> None:
    gate = Gate()
    gate.authenticator.issuers, gate.authenticator.tenancy = TRUSTED, TENANCY

    scope = await gate.authenticator.authenticate(f"Bearer {gate.token(**claims)}", None)

    assert scope.caller == caller


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from([DIRECTORY, PIPELINE, PORTAL, "acme", "globex", "Runtime.Admin", V1, V2]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)  # fmt: skip
NAMES = st.sampled_from(["tid", "azp", "appid", "tenantId", "roles", "scp", "ver", "idtyp", "oid"])


@given(st.sampled_from([APP_V1, APP_V2, USER_V1, USER_V2]), st.dictionaries(NAMES, JSON_VALUE))
def test_claims_of_any_type_give_a_mapped_tenant_or_a_refusal(
    claims: dict[str, Any], changes: dict[str, Any]
) -> None:
    sent = claims | changes
    try:
        grant = TENANCY.grant(sent)
    except Unauthenticated as refusal:
        assert refusal.code == "UnmappedToken"  # noqa: PT017  what is refused has no more to check
        return
    client = sent.get("azp", sent.get("appid"))
    rows = [row for row in ROWS if (row["issuer"], row.get("client")) == (sent["iss"], client)]
    assert [grant.tenant] == [row["tenant"] for row in rows]
    assert sent["tid"] == DIRECTORY
    if sent["iss"] == V2 and client == PIPELINE:
        assert "runtime.admin" not in grant.permissions


ALL_NAMES = NAMES | st.sampled_from(["sub", "aud", "iss", "exp", "iat", "nbf"])


@given(st.sampled_from([APP_V1, USER_V2]), st.dictionaries(ALL_NAMES, JSON_VALUE, max_size=3))
def test_a_signed_token_with_claims_of_any_type_is_taken_or_refused_with_a_code(
    claims: dict[str, Any], changes: dict[str, Any]
) -> None:
    gate = Gate()
    gate.authenticator.issuers, gate.authenticator.tenancy = TRUSTED, TENANCY
    token = signed(gate.claims(**claims) | changes)
    try:
        scope = asyncio.run(gate.authenticator.authenticate(f"Bearer {token}", None))
    except Unauthenticated as refusal:
        code, shown = refusal.code, refusal.message
    else:
        code, shown = scope.tenant, scope.caller
        assert code in {"acme", "globex"}
    assert code != "Unauthenticated"
    assert shown.isprintable()


WRONG: Final[dict[str, tuple[list[str], list[str], str, str, str]]] = {
    "no-json": ([V2], [], "acme", TENANTS, "expected"),
    "an-object": ([V2], [], "{}", TENANTS, "expected"),
    "no-client": ([PLAIN], [], json.dumps([{"issuer": PLAIN, "tenant": "acme"}]),
                  f"{TENANTS}/0/client", "expected client or subject, one of both"),
    "no-such-field": ([PLAIN], [], json.dumps([ROWS[3] | {"role": "x"}]), f"{TENANTS}/0/role",
                      "there is no such field"),
    "no-such-role": ([PLAIN], [], json.dumps([ROWS[3] | {"roles": ["Root"]}]),
                     f"{TENANTS}/0/roles/0", "Runtime.Read"),
    "no-tenant": ([PLAIN], [], json.dumps([ROWS[3] | {"tenant": "Acme"}]), f"{TENANTS}/0/tenant",
                  "lower case"),
    "unknown-issuer": ([PLAIN], [], json.dumps([ROWS[3], ROWS[0]]), f"{TENANTS}/1/issuer",
                       "is not among RUNTIME_ISSUERS"),
    "both": ([PLAIN], [PLAIN], json.dumps([ROWS[3]]), f"{TENANTS}/0/issuer", "one of both"),
    "neither": ([PLAIN], [], "", TENANTS, f"name it in {TENANT_ISSUERS}"),
    "one-of-two": ([PLAIN, V2], [], json.dumps([ROWS[3]]), TENANTS, V2),
    "naming-and-not-trusted": ([PLAIN], [PLAIN, V2], "", TENANT_ISSUERS, "is not among"),
    "twice": ([PLAIN], [], json.dumps([ROWS[3], ROWS[3] | {"tenant": "globex"}]), f"{TENANTS}/1",
              "mapped above"),
    "twice-by-case": ([V2], [], json.dumps([ROWS[0], ROWS[0] | {"client": PIPELINE.upper()}]),
                              f"{TENANTS}/1", "mapped above"),
    "another-directory": ([V2], [], json.dumps([ROWS[0] | {"tid": OTHER_DIRECTORY}]),
                          f"{TENANTS}/0/tid", "the directory of the issuer"),
    "no-directory": ([V1], [], json.dumps([{**ROWS[2], "tid": None}]), f"{TENANTS}/0/tid",
                     "the directory of the issuer"),
    "too-many": ([PLAIN], [], json.dumps([ROWS[3] | {"client": str(number)}
                                          for number in range(MAPPINGS_MAX + 1)]),
                 TENANTS, "at most 500"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("trusted", "naming", "mappings", "target", "message"), WRONG.values(), ids=WRONG.keys()
)
def test_settings_that_leave_a_tenant_open_stop_the_start_and_say_where(
    trusted: list[str], naming: list[str], mappings: str, target: str, message: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        read_tenancy(trusted, naming=naming, mappings=mappings)

    assert refusal.value.target == target
    assert refusal.value.message.startswith(f"{target}: ")
    assert message in refusal.value.message


def test_every_mistake_is_named_with_its_place() -> None:
    rows = [ROWS[3] | {"issuer": V1}, ROWS[0] | {"tid": OTHER_DIRECTORY}]

    with pytest.raises(Invalid) as refusal:
        read_tenancy([V2, PLAIN], naming=[DEV_ISSUER], mappings=json.dumps(rows))

    places = [each.target for each in refusal.value.details]
    assert places == [
        TENANT_ISSUERS, f"{TENANTS}/0/issuer", f"{TENANTS}/0/tid", f"{TENANTS}/1/tid", TENANTS,
    ]  # fmt: skip
    assert all(each.message.startswith(f"{each.target}: ") for each in refusal.value.details)
    assert all(each.message in refusal.value.message for each in refusal.value.details)


def test_ids_are_compared_as_entra_writes_them() -> None:
    row = ROWS[0] | {"tid": DIRECTORY.upper(), "client": PIPELINE.upper()}

    tenancy = read_tenancy([V2], mappings=json.dumps([row]))

    assert tenancy.grant(APP_V2).tenant == "acme"


@pytest.mark.real
async def test_over_http_a_mapped_token_works_in_its_tenant_and_another_is_told_its_claim(
    tmp_path: Any,
) -> None:
    async with issuers(tmp_path) as served:
        issuer = served.url(f"/{DIRECTORY}/v2.0", "login.microsoftonline.com")
        served.add(issuer, [jwk(RSA_KEY, "rsa", "RS256")])
        at = bench("environments", settings={"RUNTIME_ISSUER_KEYS": "/nowhere"})
        authenticator = at.service.authenticator
        assert isinstance(authenticator.keys, FileKeys)
        authenticator.keys, authenticator.issuers = served.source(), [issuer]
        rows = [ROWS[0] | {"issuer": issuer}]
        authenticator.tenancy = read_tenancy([issuer], mappings=json.dumps(rows))
        now = int(at.service.clock.now().timestamp())

        def bearer(**changes: Any) -> str:
            claims = APP_V2 | {"iss": issuer, "iat": now, "exp": now + 600} | changes
            return f"Bearer {with_library(claims, RSA_KEY, 'RS256', kid='rsa')}"

        app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
        blueprint = df.Blueprint()
        bind_routes(blueprint, ROUTES, at, at.service)
        app.register_functions(blueprint)
        host_json = {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}
        one = App("app", register=app, host_json=host_json)
        async with hosting(one, settings=HostSettings(threads=0, environ={})) as host:

            async def got(token: str, **headers: str) -> HttpAnswer:
                sent = {"authorization": token, **headers}
                return await host.handle(HttpCall("GET", "v1/lists", "", tuple(sent.items()), b""))

            good = await got(bearer())
            other = await got(bearer(azp=PORTAL))
            header = await got(bearer(), **{"x-tenant-id": "globex"})

    assert good.status == 200
    assert (other.status, error(other)["code"], error(other)["target"]) == (
        401, "UnmappedToken", "azp",
    )  # fmt: skip
    assert (header.status, error(header)["code"]) == (403, "TenantMismatch")


SHOP: Final = Workload("env-abcdefghijkl", "module-shop")
OF_WORKLOAD: Final = {
    "iss": DEV_ISSUER, "sub": "workload", "tenantId": "acme",
    "workload": {"environmentId": "env-abcdefghijkl", "moduleId": "module-shop"},
}  # fmt: skip


def test_a_workload_is_mapped_by_issuer_and_subject_and_gets_its_own_only() -> None:
    subject = "system:serviceaccount:acme:shop"

    grant = granted({"iss": PLAIN, "sub": subject, "roles": ["Runtime.Admin"], "azp": "ci"})

    assert grant == Grant(ids.TenantId("acme"), OF_WORKLOADS, SHOP)


def test_a_subject_is_one_of_its_issuer_and_no_client_of_that_name() -> None:
    subject = "system:serviceaccount:acme:shop"

    assert granted({"iss": PLAIN, "sub": "system:serviceaccount:acme:ops"}).workload is None
    assert refused({"iss": V2, "tid": DIRECTORY, "sub": subject}).code == "UnmappedToken"
    assert refused({"iss": PLAIN, "azp": subject, "sub": "x"}).code == "UnmappedToken"


@pytest.mark.parametrize("both", [{}, {"client": "ci", "subject": "x"}], ids=["neither", "both"])
def test_a_mapping_has_a_client_or_a_subject(both: dict[str, str]) -> None:
    row = {"issuer": PLAIN, "tenant": "acme", **both}

    with pytest.raises(Invalid, match="expected client or subject, one of both"):
        read_tenancy([PLAIN], mappings=json.dumps([row]))


def test_an_issuer_that_names_tenants_names_workloads_and_their_roles_count_for_nothing() -> None:
    grant = granted(OF_WORKLOAD, roles=["Runtime.Admin"], scp="runtime.admin")

    assert grant == Grant(ids.TenantId("acme"), OF_WORKLOADS, SHOP)


def test_it_may_name_the_one_instance_that_has_the_token() -> None:
    one = {**OF_WORKLOAD, "workload": {**OF_WORKLOAD["workload"], "instance": "module-shop-1-0"}}

    assert granted(one).workload == replace(SHOP, instance="module-shop-1-0")


@pytest.mark.parametrize(
    "workload", [{}, [], "module-shop", 1, True, {"environmentId": "env-x", "moduleId": "module-a"}]
)
def test_a_workload_that_is_none_is_no_caller(workload: Any) -> None:
    assert refused(OF_WORKLOAD, workload=workload).code == "MalformedToken"
