"""Facts: the newest events of other services, for the next release unit; and the binding.

Facts permit: they are bounded, and one too many is refused by name, never dropped. A binding and
its isolation proofs restrict: there is one for a tenant and an environment, with at most one proof
a layer, so there is always room for them.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, PlainSerializer

from function_apps.deployments.errors import FactsFull
from shared.contracts.isolation import IsolationLayer
from shared.contracts.retention import MESSAGES_KEPT
from shared.contracts.scaling import LeftReplicas
from shared.contracts.tenants import ProofVerdict, RuntimeTenantBound, TenantBindingStatus
from shared.contracts.values import Instant, SecretDelivery
from shared.kernel.dataclass import dataclass

FACTS_MAX: Final = 400
"""Configurations, secrets by name, and policies that are remembered; 120 bytes each, and of
configurations 1,000."""
VERSIONS_KEPT: Final = 5
"""Of a layer of configuration, as many can be named; 80 bytes each, and 80 for a schema."""
SECRETS_MAX: Final = 50
"""Names that are bound of one module: a release unit records no more."""
DISABLED_MAX: Final = 16
"""Versions of one secret that are remembered, as disabled or as in force before: more than releases
that are kept."""
CONFIGURATION: Final = "configuration"
SCALING: Final = "scaling"
SECRET: Final = "secret"  # noqa: S105  a kind of fact
"""The kinds of facts: versions of configurations, revisions of policies, versions of secrets."""


# Stored under the names that they had in common before they were three classes.
_STORED: Final = ConfigDict(validate_by_alias=True, validate_by_name=True, serialize_by_alias=True)


@dataclass(frozen=True)
class SecretFact:
    """A secret of a module, as its binding and its rotations said last.

    `revision` is that of its binding, `rotation` the number of its last rotation. One that was
    revoked, at `ended_at`, stays without a version: no older event brings it back, and no rollback
    gives it.
    `binding` to `target` say where it is and how an instance gets it; `disabled` has the versions
    that the vault gives to nobody any more, the newest last; `asked` is the number of the last
    rotation that was to be rolled out, `failed` that of the last that failed.
    `former` are the versions that were in force before, the newest last. `allowed` are those that
    may be given since older ones were withdrawn: the one in force then, and each that was to be
    rolled out or came in force later; empty where nothing was withdrawn.
    """

    kind: Literal["secret"]
    revision: int
    module: str = ""
    name: str = ""
    version: Annotated[str, Field(alias="value")] = ""
    rotation: int = 0
    binding: str = ""
    vault: str = ""
    delivery: SecretDelivery = SecretDelivery.ENVIRONMENT_VARIABLE
    target: str = ""
    disabled: tuple[str, ...] = ()
    asked: int = 0
    failed: int = 0
    ended_at: Instant | None = None
    former: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    def is_over(self, rotation: int) -> bool:
        """Return whether *rotation*, by number, has failed, or a later one was asked for."""
        return rotation <= self.failed or rotation < max(self.rotation, self.asked)

    def is_given(self, version: str) -> bool:
        """Return whether a release that had *version* of this secret may be given it again."""
        if not self.version or version == self.version:
            return bool(self.version)
        is_withdrawn = bool(self.allowed) and version not in self.allowed
        return not is_withdrawn and version not in self.disabled

    def with_version(self, version: str) -> "SecretFact":
        """Return this with *version* in force; what was in force before is remembered as such."""
        former = [each for each in self.former if each != version]
        if self.version and self.version != version:
            former.append(self.version)
        former = former[-DISABLED_MAX:]
        return replace(self.with_allowed(version), version=version, former=tuple(former))

    def with_allowed(self, version: str) -> "SecretFact":
        """Return this with *version* among those that may be given since a withdrawal."""
        if not self.allowed or not version or version in self.allowed:
            return self
        return replace(self, allowed=(*self.allowed, version)[-DISABLED_MAX:])


@dataclass(frozen=True)
class PolicyFact:
    """A policy, as scaling said last.

    `policy_revision` is 0 where it has ended; `minimum` are the fewest instances that it allows,
    and `left` is the number that it left.
    """

    kind: Literal["scaling"]
    revision: int
    policy_revision: Annotated[int, Field(alias="value"), PlainSerializer(str)]
    module: str = ""
    minimum: int = 0
    left: LeftReplicas | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STORED


@dataclass(frozen=True)
class LayerFact:
    """A layer of configuration, as its service said last; one of a module names that.

    `version` is the one in force, and `versions` has the hash of the content of its last versions,
    by number; `schemas` that of their schemas, of those that have one. A layer whose version in
    force is empty has `ended_at`, as when its environment has.
    """

    kind: Literal["configuration"]
    revision: int
    module: str = ""
    layer: Annotated[str, Field(alias="name")] = ""
    version: Annotated[str, Field(alias="value")] = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    ended_at: Instant | None = None
    schemas: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = _STORED


@dataclass(frozen=True)
class TenantLayer:
    """The layer of configuration that a tenant has for all its environments."""

    tenant_id: str
    fact: LayerFact | None = None


Fact = Annotated[SecretFact | PolicyFact | LayerFact, Field(discriminator="kind")]
Facts = Mapping[str, Fact]
"""By aggregate; secrets, of which a binding and its rotations have events, by module and name."""


def record_policy(facts: Facts, policy_id: str, fact: PolicyFact) -> Facts | None:
    """Return *facts* with *fact*; None when *facts* has one as new.

    Raises:
        FactsFull: there is no room for another policy.
    """
    known = facts.get(policy_id)
    if known is not None and known.revision >= fact.revision:
        return None
    _require_room(facts, policy_id)
    return {**facts, policy_id: fact}


def find_layer(facts: Facts, configuration_id: str) -> LayerFact | None:
    """Return what *facts* have of a layer of configuration."""
    known = facts.get(configuration_id)
    return known if isinstance(known, LayerFact) else None


def find_secret(facts: Facts, module: str, name: str) -> SecretFact | None:
    """Return what *facts* have of the secret *name* of *module*."""
    known = facts.get(secret_key(module, name))
    return known if isinstance(known, SecretFact) else None


def record_configuration(facts: Facts, aggregate_id: str, event: LayerFact) -> Facts | None:
    """Return *facts* with a version of a layer; None for nothing new.

    Raises:
        FactsFull: there is no room for another layer.
    """
    _require_room(facts, aggregate_id)
    after = record_layer(find_layer(facts, aggregate_id), event)
    return None if after is None else {**facts, aggregate_id: after}


def record_layer(known: LayerFact | None, event: LayerFact) -> LayerFact | None:
    """Return what is known of a layer after *event*; None for nothing new.

    A version that comes late is not in force, and can be named all the same.
    """
    if known is None:
        return event
    newest = event if event.revision > known.revision else known
    versions = {**known.versions, **event.versions}
    schemas = {**known.schemas, **event.schemas}
    kept = sorted(versions, key=int)[-VERSIONS_KEPT:]
    after = replace(
        newest,
        versions={number: versions[number] for number in kept},
        schemas={number: schemas[number] for number in kept if number in schemas},
    )
    return None if after == known else after


def without_past(facts: Facts) -> Facts:
    """Return *facts* of an environment that is gone: of layers that ended, no earlier version."""
    return {
        key: replace(fact, versions={fact.version: fact.versions[fact.version]}, schemas={})
        if fact.kind == CONFIGURATION and fact.ended_at and fact.version in fact.versions
        else fact
        for key, fact in facts.items()
    }


def secret_key(module: str, name: str) -> str:
    """Return the key of a secret among the facts."""
    return f"{SECRET}/{module}/{name}"


def without_ended(facts: Facts, key: str, now: datetime) -> Facts:
    """Return *facts* without that of *key*, if it ended so long ago that no event is as old.

    What is told next may be of a binding or layer that begins again, with the first revision.
    """
    known = facts.get(key)
    ended_at = None if known is None or known.kind == SCALING else known.ended_at
    if ended_at is None or now - ended_at < MESSAGES_KEPT:
        return facts
    return {each: fact for each, fact in facts.items() if each != key}


def record_secret(facts: Facts, event: SecretFact) -> Facts | None:
    """Return *facts* after an event of a binding, or of a rotation by number; None for nothing new.

    Raises:
        FactsFull: there is no room for another secret; there is for every event of a known one.
    """
    key = secret_key(event.module, event.name)
    known = find_secret(facts, event.module, event.name)
    if known is None:
        _require_room(facts, key)
        after = replace(event, revision=0) if event.rotation else event
    else:
        after = _after(known, event)
    disabled = _disabled(known.disabled if known else (), event.disabled)
    is_same_vault = known is not None and known.vault in {"", after.vault}
    after = replace(after, disabled=disabled)
    if known is not None and is_same_vault:
        past = known.with_version(after.version)
        after = replace(
            after,
            asked=known.asked,
            failed=known.failed,
            former=past.former,
            allowed=past.allowed,
        )
    if after == known:
        return None
    if after.version and not (known and known.version):
        _require_room_of_module(facts, event.module, key)
    return {**facts, key: after}


def _after(known: SecretFact, event: SecretFact) -> SecretFact:
    """Return what is known of a secret after *event*, but for what is disabled."""
    is_elsewhere = known.vault not in {"", event.vault}
    if event.rotation:
        is_late = is_elsewhere or known.rotation >= event.rotation
        return replace(event, revision=known.revision) if known.version and not is_late else known
    if known.revision >= event.revision:
        return known
    if is_elsewhere or not (known.version and event.version):
        return event
    return replace(event, version=_version_after(known, event.version), rotation=known.rotation)


def _disabled(known: tuple[str, ...], told: tuple[str, ...]) -> tuple[str, ...]:
    """Return the versions that are disabled: what is stays so, in whatever order it is told."""
    if {*told} <= {*known}:
        return known
    return (*(version for version in known if version not in told), *told)[-DISABLED_MAX:]


def _goes_back(known: SecretFact, version: str) -> bool:
    """Return whether *version*, of before, may be told again: the rotation after it has failed."""
    return 0 < known.rotation <= known.failed and known.is_given(version)


def _version_after(known: SecretFact, version: str) -> str:
    """Return the version that a binding gives: never one from before its last rotation."""
    is_first_event = not known.revision
    is_earlier = (
        version.isdecimal() and known.version.isdecimal() and int(version) < int(known.version)
    )
    is_former = version in known.former and not _goes_back(known, version)
    is_old = is_first_event or is_earlier or is_former
    return known.version if known.rotation and is_old else version


def _require_room(facts: Facts, key: str) -> None:
    if key not in facts and len(facts) >= FACTS_MAX:
        raise FactsFull(
            f"{FACTS_MAX} configurations, secrets and policies are recorded for this environment: "
            f"there is no room for {key}"
        )


def _require_room_of_module(facts: Facts, module: str, key: str) -> None:
    bound = sum(
        1
        for fact in facts.values()
        if fact.kind == SECRET and fact.module == module and fact.version
    )
    if bound >= SECRETS_MAX:
        raise FactsFull(f"{module} has {SECRETS_MAX} secrets: there is no room for {key}")


@dataclass(frozen=True)
class RecordedProof:
    """The verdict of the last isolation proof of one layer."""

    revision: int
    verdict: ProofVerdict


@dataclass(frozen=True)
class BindingProjection:
    """The tenant's binding to the environment as its newest events have it.

    `status` is absent while only a proof has been heard of. Unbound stays as a tombstone, so that
    an older event does not bring the binding back. It keeps the proofs too: nothing says whether
    one is of the binding that ended or of the next one, whose event is still on its way.
    `asked_revision` is the last one at which its isolation was asked for: a move from before it is
    over.
    """

    binding_id: str
    revision: int = 0
    status: TenantBindingStatus | None = None
    asked_revision: int = 0
    proofs: Mapping[IsolationLayer, RecordedProof] = field(default_factory=dict)

    @property
    def is_in_force(self) -> bool:
        return self.status not in {None, TenantBindingStatus.UNBOUND}

    @property
    def breach(self) -> IsolationLayer | None:
        """A layer whose last proof was a breach, of a binding that has not ended."""
        if self.status is TenantBindingStatus.UNBOUND:
            return None
        breached = (at for at, proof in self.proofs.items() if proof.verdict is ProofVerdict.BREACH)
        return next(breached, None)


def record_binding(
    known: BindingProjection | None, event: RuntimeTenantBound
) -> BindingProjection | None:
    """Return the binding as *event* has it; None when it is known as new."""
    before = _of(known, event.binding_id)
    if before.revision >= event.revision:
        return None
    return replace(
        before,
        revision=event.revision,
        status=event.status,
        asked_revision=event.asked_revision,
    )


def record_proof(
    known: BindingProjection | None, binding_id: str, layer: IsolationLayer, proof: RecordedProof
) -> BindingProjection | None:
    """Return the binding with a newer *proof* of *layer*; None where it decides nothing.

    A breach stays one until a newer proof passes, in whatever order they come: an Indeterminate one
    neither ends a breach nor hides one that is late.
    """
    before = _of(known, binding_id)
    last = before.proofs.get(layer)
    is_newer = last is None or last.revision < proof.revision
    # Earlier versions recorded these; one of them is no reason to drop what was tested before it.
    is_first = last is not None and last.verdict is ProofVerdict.INDETERMINATE
    if proof.verdict is ProofVerdict.INDETERMINATE or not (is_newer or is_first):
        return None
    return replace(before, proofs={**before.proofs, layer: proof})


def _of(known: BindingProjection | None, binding_id: str) -> BindingProjection:
    if known is not None and known.binding_id == binding_id:
        return known
    return BindingProjection(binding_id)
