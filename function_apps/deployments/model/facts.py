"""What other services said last of their aggregates, for the next release unit; and the binding.

Facts permit: they are bounded, and one too many is refused by name, never dropped. A binding and
its isolation proofs restrict: there is one for a tenant and an environment, with at most one proof
a layer, so there is always room for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from function_apps.deployments.errors import FactsFull
from shared.contracts.tenants import IsolationLayer, ProofVerdict, TenantBindingStatus

FACTS_MAX: Final = 400
"""Aggregates of other services that are remembered; 120 bytes each."""


SECRETS_MAX: Final = 50
"""Of one module: a release unit records no more."""
SECRET: Final = "secret"  # noqa: S105  a kind of fact
"""The kind of a fact that is a secret's version."""


@dataclass(frozen=True)
class RecordedFact:
    """What another service said last of one of its aggregates."""

    kind: str
    revision: int
    module: str = ""
    name: str = ""
    value: str = ""


Facts = Mapping[str, RecordedFact]
"""By aggregate; the one recorded last stands last."""


def record_fact(facts: Facts, aggregate: str, fact: RecordedFact) -> Facts | None:
    """Return *facts* with *fact*; None when something as new is known.

    Raises:
        FactsFull: there is no room for another aggregate.
    """
    known = facts.get(aggregate)
    if known is not None and known.revision >= fact.revision:
        return None
    if known is None and len(facts) >= FACTS_MAX:
        raise FactsFull(
            f"{FACTS_MAX} configurations, secrets and policies are recorded for this environment: "
            f"there is no room for {aggregate}"
        )
    if known is None and _secrets(facts, fact.module) >= SECRETS_MAX and fact.kind == SECRET:
        raise FactsFull(
            f"{fact.module} has {SECRETS_MAX} secrets: there is no room for {aggregate}"
        )
    # Last in the order: of a secret's binding and its rotation the later word counts.
    others = {name: other for name, other in facts.items() if name != aggregate}
    return {**others, aggregate: fact}


def _secrets(facts: Facts, module: str) -> int:
    names = {fact.name for fact in facts.values() if fact.kind == SECRET and fact.module == module}
    return len(names)


@dataclass(frozen=True)
class RecordedProof:
    """What the last isolation proof of one layer said."""

    revision: int
    verdict: ProofVerdict


@dataclass(frozen=True)
class BindingProjection:
    """The tenant's binding to the environment as its newest events told it.

    `status` is absent while only a proof has been heard of. Unbound stays as a tombstone, so that
    an older event does not bring the binding back.
    """

    binding_id: str
    revision: int = 0
    status: TenantBindingStatus | None = None
    proofs: Mapping[IsolationLayer, RecordedProof] = field(default_factory=dict)

    @property
    def is_in_force(self) -> bool:
        return self.status not in {None, TenantBindingStatus.UNBOUND}

    @property
    def breach(self) -> IsolationLayer | None:
        """A layer whose last proof was a breach."""
        if self.status is TenantBindingStatus.UNBOUND:
            return None
        breached = (at for at, proof in self.proofs.items() if proof.verdict is ProofVerdict.BREACH)
        return next(breached, None)


def record_binding(
    known: BindingProjection | None, binding_id: str, revision: int, status: TenantBindingStatus
) -> BindingProjection | None:
    """Return the binding with its newer *status*; None when something as new is known."""
    before = _of(known, binding_id)
    if before.revision >= revision:
        return None
    proofs = {} if status is TenantBindingStatus.UNBOUND else before.proofs
    return BindingProjection(binding_id, revision, status, proofs)


def record_proof(
    known: BindingProjection | None, binding_id: str, layer: IsolationLayer, proof: RecordedProof
) -> BindingProjection | None:
    """Return the binding with a newer *proof* of *layer*; None when one as new is known."""
    before = _of(known, binding_id)
    last = before.proofs.get(layer)
    if last is not None and last.revision >= proof.revision:
        return None
    return replace(before, proofs={**before.proofs, layer: proof})


def _of(known: BindingProjection | None, binding_id: str) -> BindingProjection:
    if known is not None and known.binding_id == binding_id:
        return known
    return BindingProjection(binding_id)
