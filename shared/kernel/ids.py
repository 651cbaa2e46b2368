"""Ids that route themselves: with the tenant from the token, an id names its partition.

`k` (environment key) comes from tenant, project and environment name; `m` (module key) from tenant
and module. Another tenant's id therefore leads to an empty partition, which is a 404 by
construction. All parts have fixed lengths, so an id parses in one way only.
"""

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import Final, NewType

from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.kernel.errors import NotFound

TenantId = NewType("TenantId", str)
ProjectId = NewType("ProjectId", str)
ModuleId = NewType("ModuleId", str)
EnvironmentKey = NewType("EnvironmentKey", str)
ModuleKey = NewType("ModuleKey", str)
EnvironmentId = NewType("EnvironmentId", str)
DeploymentId = NewType("DeploymentId", str)
ServiceId = NewType("ServiceId", str)
OperationId = NewType("OperationId", str)
TenantBindingId = NewType("TenantBindingId", str)
ConfigurationId = NewType("ConfigurationId", str)
SecretBindingId = NewType("SecretBindingId", str)
SecretRotationId = NewType("SecretRotationId", str)
ScalingPolicyId = NewType("ScalingPolicyId", str)
DriftFindingId = NewType("DriftFindingId", str)
GitSourceId = NewType("GitSourceId", str)
GateId = NewType("GateId", str)
EventId = NewType("EventId", str)

TENANT: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label: a tenant is part of partition keys, and must not name a partition of ours."""
KEY_LENGTH: Final = 12
"""60 bits: a tenant would need 10^8 environments for an even chance of one collision."""
MODULE_KEY_LENGTH: Final = 10
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: sorts as its value, no i l o u

APPS: Final = (
    "environments", "deployments", "catalog", "configurations", "secret-bindings",
    "tenants", "health", "scaling", "drift",
)  # fmt: skip

_K: Final = r"(?P<k>[a-z2-7]{12})"
_M: Final = r"(?P<m>[a-z2-7]{10})"
_S: Final = r"(?P<rest>[0-9a-z]{16})"
_H: Final = r"(?P<rest>[a-z2-7]{12})"
_SHAPES: Final = {
    "env": re.compile(rf"env-{_K}"),
    "dep": re.compile(rf"dep-{_K}-{_S}"),
    "svc": re.compile(rf"svc-{_K}-{_M}"),
    "cfg": re.compile(rf"cfg-{_K}-(?P<rest>[a-z0-9-]+)"),
    "sec": re.compile(rf"sec-{_K}-{_H}"),
    "rot": re.compile(rf"rot-{_K}-(?P<rest>[a-z2-7]{{12}}-[0-9]+)"),
    "tb": re.compile(rf"tb-{_K}-{_H}"),
    "sp": re.compile(rf"sp-{_K}-{_M}"),
    "df": re.compile(rf"df-{_K}(?:-{_M})?-{_H}"),
    "gs": re.compile(rf"gs-{_K}-{_H}"),
    "gate": re.compile(rf"gate-{_K}-{_M}-(?P<rest>[0-9a-z]{{16}}-[0-9]{{1,4}}-[0-9]{{1,3}})"),
    "op": re.compile(rf"op-(?P<app>{'|'.join(APPS)})-{_K}(?:-{_M})?-{_S}"),
}


@dataclass(frozen=True)
class ParsedId:
    """The routing parts of an id; `module` is empty where the kind has none."""

    kind: str
    environment: EnvironmentKey
    module: ModuleKey | None
    app: str | None
    rest: str


def parse_id(text: str, *kinds: str) -> ParsedId:
    """Return the parts of *text*, which must be of one of *kinds* (any kind when none given).

    Raises:
        NotFound: *text* has no such shape; a malformed id names nothing.
    """
    kind = text.split("-", 1)[0]
    shape = _SHAPES.get(kind) if not kinds or kind in kinds else None
    match = shape.fullmatch(text) if shape else None
    if match is None:
        expected = " or ".join(kinds) if kinds else "a known"
        raise NotFound(f"no resource has the id {text[:80]!r}: expected an id of kind {expected}")
    parts = match.groupdict()
    module = parts.get("m")
    return ParsedId(
        kind,
        EnvironmentKey(parts["k"]),
        ModuleKey(module) if module else None,
        parts.get("app"),
        parts.get("rest") or "",
    )


def id_pattern(kind: str) -> str:
    """Return the shape of *kind* as an anchored regular expression that ECMA 262 reads too."""
    return f"^{id_shape(kind)}$"


def id_shape(kind: str) -> str:
    """Return the shape of *kind* as a regular expression to be part of another."""
    return re.sub(r"[?]P<[a-z]+>", "?:", _SHAPES[kind].pattern)


def _hash(length: int, *parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:length]


def environment_key(tenant: TenantId, project: ProjectId, name: str) -> EnvironmentKey:
    """Return `k`: the same tenant, project and name always give the same key."""
    return EnvironmentKey(_hash(KEY_LENGTH, tenant, project, name))


def module_key(tenant: TenantId, module: ModuleId) -> ModuleKey:
    """Return `m`: the same tenant and module always give the same key."""
    return ModuleKey(_hash(MODULE_KEY_LENGTH, tenant, module))


def sortable(at: datetime, entropy: Entropy) -> str:
    """Return 16 characters that sort by *at* (milliseconds), then at random (30 bits)."""
    value = (int(at.timestamp() * 1000) << 30) | entropy.bits(30)
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(75, -5, -5))


def instant_of(text: str) -> datetime:
    """Return the instant in the 16 characters that `sortable` made, in whole milliseconds."""
    value = 0
    for character in text:
        value = value << 5 | _ALPHABET.index(character)
    return datetime.fromtimestamp((value >> 30) / 1000, UTC)


def environment_id(k: EnvironmentKey) -> EnvironmentId:
    return EnvironmentId(f"env-{k}")


def deployment_id(k: EnvironmentKey, at: datetime, entropy: Entropy) -> DeploymentId:
    return DeploymentId(f"dep-{k}-{sortable(at, entropy)}")


def service_id(k: EnvironmentKey, m: ModuleKey) -> ServiceId:
    return ServiceId(f"svc-{k}-{m}")


def gate_id(deployment: DeploymentId, m: ModuleKey, attempt: int, step: int) -> GateId:
    """Return the id of one judgement: the same component, attempt and step are the same gate."""
    parts = parse_id(deployment, "dep")
    return GateId(f"gate-{parts.environment}-{m}-{parts.rest}-{attempt}-{step}")


def tenant_key(tenant: TenantId) -> EnvironmentKey:
    """Return the `k` of what belongs to the whole tenant, and to none of its environments."""
    return EnvironmentKey(_hash(KEY_LENGTH, tenant))


def configuration_id(k: EnvironmentKey, layer: str, m: ModuleKey | None = None) -> ConfigurationId:
    """Return the id of a layer: `tenant` of a `tenant_key`, `environment`, or that of a module."""
    return ConfigurationId(f"cfg-{k}-{m or layer}")


def tenant_binding_id(k: EnvironmentKey, bound: TenantId) -> TenantBindingId:
    return TenantBindingId(f"tb-{k}-{_hash(KEY_LENGTH, bound)}")


def scaling_policy_id(k: EnvironmentKey, m: ModuleKey) -> ScalingPolicyId:
    """Return the id of the one policy of a service."""
    return ScalingPolicyId(f"sp-{k}-{m}")


def secret_binding_id(k: EnvironmentKey, module: str, name: str) -> SecretBindingId:
    """Return the id of a binding; vaults compare names of secrets without regard to case."""
    return SecretBindingId(f"sec-{k}-{_hash(KEY_LENGTH, module, name.lower())}")


def secret_key(vault_uri: str, name: str) -> str:
    """Return what the secret *name* of a vault is known by: 12 characters."""
    return _hash(KEY_LENGTH, vault_uri.lower().removesuffix("/"), name.lower())


def secret_rotation_id(k: EnvironmentKey, secret: str, number: int) -> SecretRotationId:
    """Return the id of the rotation *number*, from 1, of the secret known by *secret*."""
    return SecretRotationId(f"rot-{k}-{secret}-{number}")


def drift_finding_id(
    k: EnvironmentKey, m: ModuleKey | None, plane: str, path: str
) -> DriftFindingId:
    """Return the id of a finding: the same property is always the same finding.

    It is of a service, or without *m* of the environment itself.
    """
    unit = f"-{m}" if m else ""
    return DriftFindingId(f"df-{k}{unit}-{_hash(KEY_LENGTH, plane, path)}")


def git_source_id(tenant: TenantId, repository: str, branch: str, path: str) -> GitSourceId:
    """Return the id of a source: the same folder of the same branch is the same source."""
    return GitSourceId(f"gs-{tenant_key(tenant)}-{_hash(KEY_LENGTH, repository, branch, path)}")


def operation_id(
    app: str, k: EnvironmentKey, at: datetime, entropy: Entropy, *, m: ModuleKey | None = None
) -> OperationId:
    """Return the id of a new operation of *app* (its name outside Python, `secret-bindings`)."""
    assert app in APPS, app
    unit = f"-{m}" if m else ""
    return OperationId(f"op-{app}-{k}{unit}-{sortable(at, entropy)}")


def event_id(entropy: Entropy) -> EventId:
    return EventId(f"evt-{entropy.uuid()}")


def trace_id(entropy: Entropy) -> str:
    """Return `trace-` and 32 hex digits: the W3C trace id with our prefix."""
    return f"trace-{entropy.uuid().hex}"


def correlation_id(entropy: Entropy) -> str:
    return f"corr-{entropy.uuid()}"
