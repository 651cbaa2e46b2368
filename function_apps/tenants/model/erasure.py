"""The remains of a tenant that was unbound, as looks at its environment show them. Pure.

Only a look that was answered shows that something is gone. One without an answer shows nothing.
"""

from collections.abc import Sequence
from typing import Final

from shared.contracts.environments import ComputeTarget
from shared.contracts.tenants import Ending, Erased, ErasedKind, ErasureOutcome
from shared.contracts.values import ComputeTargetKind
from shared.kernel.dataclass import dataclass
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import Boundary
from shared.surfaces.capabilities import Feature
from shared.surfaces.observed_state import Inventory

OUTPUT_KEPT_DAYS: Final = 7
"""A surface without namespaces keeps the output of a component without revisions so long."""
_SHOWN_MAX: Final = 1000
_QUOTA: Final = "quota/"
_NAMES_MAX: Final = 10
_IN_A_NAMESPACE: Final = (
    ErasedKind.NAMESPACE, ErasedKind.IDENTITY, ErasedKind.QUOTA, ErasedKind.ROUTES,
    ErasedKind.OUTPUT,
)  # fmt: skip
"""All of it goes with the namespace."""
_ONLY_IN_A_NAMESPACE: Final = (
    ErasedKind.NAMESPACE, ErasedKind.IDENTITY, ErasedKind.NETWORK_POLICY, ErasedKind.QUOTA,
)  # fmt: skip
_STAY: Final = (
    ErasedKind.INSTANCES, ErasedKind.OUTPUT, ErasedKind.ROUTES, ErasedKind.NAMESPACE,
    ErasedKind.IDENTITY, ErasedKind.NETWORK_POLICY, ErasedKind.DATA, ErasedKind.SECRETS,
    ErasedKind.CONFIGURATIONS,
)  # fmt: skip
_OF_THE_OWNER: Final = (
    "the environment is the tenant's own and goes on: this is kept until it is decommissioned"
    " (DELETE /environments/{environmentId})"
)
_SECRETS: Final = (
    "the bindings are revoked by secret_bindings, and the logins that the platform made with them;"
    " the report is made without access to vaults and servers: see the bindings"
    " (GET /secret-bindings), and each Failed one with its reason"
)
_CONFIGURATIONS: Final = (
    "the versions stay in the store of configurations, and the tenant has no instance there that"
    " could read them; `kept` says when they are removed"
)
_NO_DATA: Final = (
    "the data folders and servers of an environment are its owner's: components of another tenant"
    " are given none"
)
_STACK: Final = (
    "data resources went with the stack of the environment, whose resources are not listed again;"
    " `retained` has those that were left on purpose"
)


@dataclass(frozen=True)
class Erasure:
    """The search for what is left of a tenant; `signed` is the report, once it is made.

    `namespace` and `identity` are those that the tenant had. `problems` says what the last look
    found left, or could not read.
    """

    ending: Ending
    revision: int
    unbound_at: str
    namespace: str | None
    identity: str | None
    retained: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    signed: str | None = None


@dataclass(frozen=True)
class TargetReading:
    """One target of the environment, and what is live there; no boundary where it has none."""

    target: ComputeTarget
    inventory: Reading[Inventory]
    boundary: Reading[Boundary] | None

    @property
    def has_namespace(self) -> bool:
        """Return whether what the tenant had there was in a namespace of its own."""
        return self.boundary is not None and Feature.NAMESPACES in self.target.capabilities


@dataclass(frozen=True)
class Leftover:
    """One kind of thing on one target: gone, still there, or None where the look shows nothing."""

    kind: ErasedKind
    target: ComputeTargetKind
    is_gone: bool | None
    evidence: str

    @property
    def shown(self) -> str:
        """Return it as one sentence."""
        return f"{self.kind} on {self.target}: {self.evidence}"


def leftovers(tenant: str, ending: Ending, looks: Sequence[TargetReading]) -> Sequence[Leftover]:
    """Return what *looks* show of all that *tenant* is to have no longer."""
    found: list[Leftover] = []
    for look in looks:
        target = look.target.kind
        if ending is not Ending.OWNER_UNBOUND:
            instances = _of_inventory(tenant, look.inventory)
            found.append(Leftover(ErasedKind.INSTANCES, target, *instances))
            if not look.has_namespace:
                found.append(Leftover(ErasedKind.ROUTES, target, *instances))
        if look.boundary is None:
            continue
        if ending is Ending.OWNER_UNBOUND:
            found.append(Leftover(ErasedKind.QUOTA, target, *_of_quota(look.boundary)))
            continue
        kinds = list(_IN_A_NAMESPACE) if look.has_namespace else [ErasedKind.QUOTA]
        if Feature.NETWORK_POLICY in look.target.capabilities:
            kinds.append(ErasedKind.NETWORK_POLICY)
        boundary = _of_boundary(look.boundary)
        found += [Leftover(kind, target, *boundary) for kind in kinds]
    return found


def _of_inventory(tenant: str, look: Reading[Inventory]) -> tuple[bool | None, str]:
    match look:
        case Unknown(reason):
            return None, _bounded(f"the surface did not answer: {reason}")
        case Absent():
            return True, "the surface has nothing of the environment"
        case Present(inventory):
            own = [each for each in inventory.components if each.component.tenant == tenant]
            names = ", ".join(sorted(each.component.module for each in own)[:_NAMES_MAX])
            if own:
                return False, f"{len(own)} components are still there: {names}"
            if not inventory.is_complete:
                return None, _bounded(f"not all could be read: {inventory.unread_because(())}")
            return True, "the surface lists no component of the tenant, and no weight of a route"


def _of_boundary(look: Reading[Boundary]) -> tuple[bool | None, str]:
    match look:
        case Unknown(reason):
            return None, _bounded(f"the surface did not answer: {reason}")
        case Absent():
            return True, "the surface has no boundary of the tenant, nor anything in one"
        case Present(boundary):
            return False, f"its boundary {boundary.name} is still there"


def _of_quota(look: Reading[Boundary]) -> tuple[bool | None, str]:
    match look:
        case Unknown(reason):
            return None, _bounded(f"the surface did not answer: {reason}")
        case Absent():
            return True, "the surface has no boundary of the tenant, nor a quota"
        case Present(boundary):
            left = sorted(name for name in boundary.properties if name.startswith(_QUOTA))
            if left:
                return False, f"{boundary.name} still has {', '.join(left)}"
            return True, f"{boundary.name} has no quota"


def _bounded(text: str) -> str:
    return text[:_SHOWN_MAX]


def erased(
    ending: Ending, looks: Sequence[TargetReading], found: Sequence[Leftover], looked_at: str
) -> Sequence[Erased]:
    """Return each kind of thing with what became of it: what *found* has, and what nobody saw."""
    seen = [
        _erased(
            each.kind,
            ErasureOutcome.REMOVED if each.is_gone else ErasureOutcome.NOT_LOOKED_AT,
            each.evidence,
            each.target,
            looked_at if each.is_gone else None,
        )
        for each in found
    ]
    if ending is Ending.OWNER_UNBOUND:
        stays = [_erased(kind, ErasureOutcome.KEPT, _OF_THE_OWNER) for kind in _STAY]
        return [*seen, *_never_given(looks, (ErasedKind.QUOTA,)), *stays]
    is_guest = ending is Ending.GUEST_LEFT
    unseen, kept = ErasureOutcome.NOT_LOOKED_AT, ErasureOutcome.KEPT
    return [
        *seen,
        *_never_given(looks, _ONLY_IN_A_NAMESPACE),
        *_output(looks),
        _erased(ErasedKind.DATA, ErasureOutcome.NEVER_GIVEN, _NO_DATA)
        if is_guest
        else _erased(ErasedKind.DATA, unseen, _STACK),
        _erased(ErasedKind.SECRETS, unseen, _SECRETS),
        _erased(ErasedKind.CONFIGURATIONS, kept, _CONFIGURATIONS),
    ]


def _never_given(looks: Sequence[TargetReading], kinds: Sequence[ErasedKind]) -> Sequence[Erased]:
    evidence = "the surface gives none to a tenant"
    return [
        _erased(kind, ErasureOutcome.NEVER_GIVEN, evidence, look.target.kind)
        for look in looks
        for kind in kinds
        if look.boundary is None
        or (kind is not ErasedKind.QUOTA and not look.has_namespace)
        or (
            kind is ErasedKind.NETWORK_POLICY
            and Feature.NETWORK_POLICY not in look.target.capabilities
        )
    ]


def _output(looks: Sequence[TargetReading]) -> Sequence[Erased]:
    evidence = (
        "the surface deletes what the instances of a component wrote"
        f" {OUTPUT_KEPT_DAYS} days after the last of them is gone"
    )
    return [
        _erased(ErasedKind.OUTPUT, ErasureOutcome.KEPT, evidence, look.target.kind)
        for look in looks
        if not look.has_namespace
    ]


def _erased(
    kind: ErasedKind,
    outcome: ErasureOutcome,
    evidence: str,
    target: ComputeTargetKind | None = None,
    looked_at: str | None = None,
) -> Erased:
    return Erased.model_validate(
        {
            "kind": kind,
            "target": target,
            "outcome": outcome,
            "evidence": evidence,
            "lookedAt": looked_at,
        }
    )
