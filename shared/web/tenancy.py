"""Which tenant a verified token is for, and what its bearer may do there.

An issuer either names tenants itself, by the claim `tenantId`, as the one of this machine does; or
its tokens are mapped, or it is a cluster, whose accounts the platform made. A mapping says which
client (`azp`, in tokens of Entra's v1 `appid`) of which directory (`tid`) acts for which tenant. A
directory is never a tenant.
https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from shared.contracts.shape import Value
from shared.contracts.validation import parse
from shared.contracts.values import EnvironmentId, ModuleId, TenantId
from shared.kernel import ids
from shared.kernel.context import Workload
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Unauthenticated, Violation
from shared.web.issuer import DEV_ISSUER
from shared.web.roles import OF_WORKLOADS, PERMISSIONS, permissions_of

TENANTS: Final = "RUNTIME_TENANTS"
TENANT_ISSUERS: Final = "RUNTIME_TENANT_ISSUERS"
MAPPINGS_MAX: Final = 500
"""100 KB of JSON; Linux gives a variable of a process 128 KB."""
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ENTRA: Final = re.compile(
    r"https://(?:login\.microsoftonline\.(?:com|us)|login\.partner\.microsoftonline\.cn"
    r"|sts\.windows\.net|sts\.chinacloudapi\.cn)/(?P<directory>[^/]+)/(?:v2\.0)?"
)


def _as_in_tokens(text: str) -> str:
    """Entra writes GUIDs in lower case, its portal and people do not always."""
    return text.lower() if _GUID.fullmatch(text) else text


Role = Literal["Runtime.Read", "Runtime.Deploy", "Runtime.Operate", "Runtime.Admin"]
_EVERY_ROLE: Final[tuple[Role, ...]] = (
    "Runtime.Read", "Runtime.Deploy", "Runtime.Operate", "Runtime.Admin",
)  # fmt: skip
_Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
_Instance = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
_Named = Annotated[_Name, AfterValidator(_as_in_tokens)]


class WorkloadOf(Value):
    """The module of an environment that a client is a workload of."""

    environment_id: EnvironmentId
    module_id: ModuleId


class _WorkloadClaim(WorkloadOf):
    """What a token says: perhaps the one instance that it was given to."""

    instance: _Instance | None = None


class TenantMapping(Value):
    """Tokens of *issuer* that name *tid* and *client*, or *subject*, are for *tenant*.

    Client and directory together are one client of one organisation.
    """

    issuer: _Text
    tid: _Named | None = None
    """The directory; None for tokens without `tid`, of other issuers than Entra."""
    client: _Named | None = None
    """The client's id, as `azp` or `appid` has it."""
    subject: _Text | None = None
    """Instead of a client: `sub`, as a Kubernetes service account has it."""
    tenant: TenantId
    roles: tuple[Role, ...] = ()
    """What the client may do as itself; a user who acts through it gets nothing by these."""
    claimable: tuple[Role, ...] = _EVERY_ROLE
    """The roles within which `roles` and `scp` of the tokens count."""
    workload: WorkloadOf | None = None
    """It is a workload: it may read the configuration of this module, and roles count for
    nothing."""


class _Mappings(Value):  # a RootModel would say it better, and takes 10 ms of a cold start
    mappings: Annotated[tuple[TenantMapping, ...], Field(max_length=MAPPINGS_MAX)]


@dataclass(frozen=True)
class Grant:
    """What a token stands for."""

    tenant: ids.TenantId
    permissions: frozenset[str]
    workload: Workload | None = None


@dataclass(frozen=True)
class Tenancy:
    """Finds the tenant of tokens; *naming* are the issuers that may name it themselves.

    *clusters* are issuers of ServiceAccounts, with the name of the platform's installation there.
    """

    naming: Collection[str] = frozenset({DEV_ISSUER})
    mappings: Sequence[TenantMapping] = ()
    clusters: Mapping[str, str] = field(default_factory=dict)
    _by_client: dict[tuple[str, object, object], TenantMapping] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for row in self.mappings:
            key = row.client if row.subject is None else ("sub", row.subject)
            self._by_client[row.issuer, row.tid, key] = row

    def grant(self, claims: Mapping[str, Any]) -> Grant:
        """Return what a verified token with *claims* stands for.

        Raises:
            Unauthenticated: it names no tenant, or nobody mapped it; the message names the claim.
        """
        if claims["iss"] in self.naming:
            tenant, workload = _named_tenant(claims), _workload(claims)
            permissions = _claimed(claims) if workload is None else OF_WORKLOADS
            return Grant(tenant, permissions, workload)
        cluster = self.clusters.get(claims["iss"])
        if cluster is not None and self._of_subject(claims) is None:
            # The names of a cluster's objects are imported by apps that serve one.
            from shared.web.cluster_accounts import workload_of_account  # noqa: PLC0415

            tenant, workload = workload_of_account(claims, cluster)
            return Grant(tenant, OF_WORKLOADS, workload)
        mapping = self._mapping(claims)
        if (own_of := mapping.workload) is not None:
            workload = Workload(own_of.environment_id, own_of.module_id)
            return Grant(mapping.tenant, OF_WORKLOADS, workload)
        allowed = _claimed(claims) & permissions_of(mapping.claimable)
        own = frozenset[str]() if is_delegated(claims) else permissions_of(mapping.roles)
        return Grant(mapping.tenant, allowed | own)

    def _of_subject(self, claims: Mapping[str, Any]) -> TenantMapping | None:
        tid, subject = claims.get("tid"), claims.get("sub")
        if not isinstance(tid, str | None) or not isinstance(subject, str):
            return None
        return self._by_client.get((claims["iss"], tid, ("sub", subject)))

    def _mapping(self, claims: Mapping[str, Any]) -> TenantMapping:
        issuer, tid = claims["iss"], claims.get("tid")
        name = "appid" if "appid" in claims and "azp" not in claims else "azp"
        client, of_subject = claims.get(name), self._of_subject(claims)
        if of_subject is not None:
            return of_subject
        if not isinstance(client, str) or claims.get("appid", client) != client:
            raise _unmapped("azp", "the token does not name one client: azp, or appid")
        if "tid" in claims and not isinstance(tid, str):
            raise _unmapped("tid", "the token's tid is no text")
        mapping = self._by_client.get((issuer, tid, client))
        if mapping is not None:
            return mapping
        if not any((row.issuer, row.tid) == (issuer, tid) for row in self.mappings):
            raise _unmapped("tid", f"no client of tid {tid!r:.80} is mapped to a tenant")
        raise _unmapped(name, f"{name} {client!r:.160} of tid {tid!r:.80} is mapped to no tenant")


def read_tenancy(
    issuers: Sequence[str],
    *,
    naming: Collection[str] = (),
    mappings: str = "",
    clusters: Mapping[str, str] | None = None,
) -> Tenancy:
    """Return the tenancy of tokens of *issuers*.

    *naming* are those that name tenants themselves, *mappings* is a JSON array of `TenantMapping`:
    the settings `RUNTIME_TENANT_ISSUERS` and `RUNTIME_TENANTS`; *clusters* are as in `Tenancy`.

    Raises:
        Invalid: the JSON is none, or does not fit the issuers; with a violation for each mistake,
            whose message begins with its place, such as `RUNTIME_TENANTS/1/tid`.
    """
    rows, clusters = _rows(mappings), clusters or {}
    mapped = {row.issuer for row in rows}
    mistakes = [_not_trusted(TENANT_ISSUERS, each) for each in naming if each not in issuers]
    mistakes += [
        _violation("Contradiction", TENANT_ISSUERS, f"{each[:200]} is a cluster, and names nobody")
        for each in naming
        if each in clusters
    ]
    mistakes += [
        mistake
        for number, row in enumerate(rows)
        for mistake in _mistakes(row, f"{TENANTS}/{number}", rows[:number], issuers, naming)
    ]
    mistakes += [
        _violation(
            "Required",
            TENANTS,
            f"no token of {issuer} has a tenant: map its clients here, or name it in"
            f" {TENANT_ISSUERS} if it may say the tenant itself",
        )
        for issuer in issuers
        if issuer not in mapped and issuer not in naming and issuer not in clusters
    ]
    if mistakes:
        raise _refusal(mistakes)
    return Tenancy(frozenset(naming), rows, clusters)


def _rows(mappings: str) -> Sequence[TenantMapping]:
    try:
        return parse(_Mappings, f'{{"mappings":{mappings.strip() or "[]"}}}'.encode()).mappings
    except Invalid as problem:
        raise _refusal(
            [_at(each, TENANTS + each.target.removeprefix("/mappings")) for each in problem.details]
        ) from problem


def _at(violation: Violation, at: str) -> Violation:
    return replace(violation, target=at, message=f"{at}: {violation.message}")


def is_delegated(claims: Mapping[str, Any]) -> bool:
    """Return whether a user acts through the client; an application's own token has no `scp`."""
    return "scp" in claims


def _mistakes(
    row: TenantMapping,
    at: str,
    earlier: Sequence[TenantMapping],
    issuers: Sequence[str],
    naming: Collection[str],
) -> list[Violation]:
    mistakes = []
    if row.issuer not in issuers:
        mistakes.append(_not_trusted(f"{at}/issuer", row.issuer))
    if row.issuer in naming:
        message = f"{row.issuer} names tenants itself ({TENANT_ISSUERS}): one of both"
        mistakes.append(_violation("Contradiction", f"{at}/issuer", message))
    entra = _ENTRA.fullmatch(row.issuer)
    if entra and row.tid != entra["directory"].lower():
        message = f"expected {entra['directory']}, the directory of the issuer, received {row.tid}"
        mistakes.append(_violation("WrongDirectory", f"{at}/tid", message))
    if (row.client is None) is (row.subject is None):
        message = "expected client or subject, one of both"
        mistakes.append(_violation("Contradiction", f"{at}/client", message))
    key = (row.issuer, row.tid, row.client, row.subject)
    if any((each.issuer, each.tid, each.client, each.subject) == key for each in earlier):
        mistakes.append(_violation("Duplicate", at, "this client is mapped above"))
    return mistakes


def _not_trusted(at: str, issuer: str) -> Violation:
    return _violation("NotTrusted", at, f"{issuer[:200]} is not among RUNTIME_ISSUERS")


def _violation(code: str, at: str, message: str) -> Violation:
    return Violation(code, at, f"{at}: {message}")


def _refusal(mistakes: Sequence[Violation]) -> Invalid:
    message = "; ".join(each.message for each in mistakes)
    return Invalid(message, target=mistakes[0].target, details=mistakes)


def _named_tenant(claims: Mapping[str, Any]) -> ids.TenantId:
    tenant = claims.get("tenantId")
    if not isinstance(tenant, str) or not ids.TENANT.fullmatch(tenant):
        raise Unauthenticated(
            "the token names no tenant (tenantId)", code="NoTenant", target="tenantId"
        )
    return ids.TenantId(tenant)


def _workload(claims: Mapping[str, Any]) -> Workload | None:
    """Return whose workload the token is of; None of a person's or a client's.

    Raises:
        Unauthenticated: it says so, and not whose.
    """
    if "workload" not in claims:
        return None
    try:
        said = _WorkloadClaim.model_validate(claims["workload"], strict=False)
    except ValidationError as problem:
        raise Unauthenticated(
            "the token names no module of an environment (workload)",
            code="MalformedToken",
            target="workload",
        ) from problem
    return Workload(said.environment_id, said.module_id, said.instance)


def _claimed(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return what the token itself permits: app roles, and of delegated scopes what exists."""
    roles, scopes = claims.get("roles"), claims.get("scp")
    names = [name for name in roles if isinstance(name, str)] if isinstance(roles, list) else []
    delegated = scopes.split() if isinstance(scopes, str) else []
    return permissions_of(names) | (PERMISSIONS & {*delegated})


def _unmapped(claim: str, message: str) -> Unauthenticated:
    return Unauthenticated(message, code="UnmappedToken", target=claim)
