"""The secrets of a component: as its bindings say, and as a unit records them.

No value is here: the surface has each resolved for its instance.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Final

from function_apps.deployments.model.facts import (
    SECRET,
    Fact,
    Facts,
    SecretFact,
    find_secret,
    secret_key,
)
from shared.contracts.releases import Departure, ReleasedComponent, ReleasedSecret, Routing
from shared.contracts.roll_outs import SecretRollout
from shared.contracts.secret_bindings import (
    BindingStatus,
    SecretBound,
    SecretRotated,
    SecretRotationFailed,
)
from shared.contracts.values import ModuleId, Reason

BY_NAME: Final = attrgetter("name")
"""The one order in which units have their secrets: a hold is of a unit as it is."""


def fact_of(event: SecretBound | SecretRotated, now: datetime) -> SecretFact:
    """Return what *event* says of the secret of its module; a revoked one has no version."""
    is_revoked = isinstance(event, SecretBound) and event.status is BindingStatus.REVOKED
    return SecretFact(
        SECRET,
        event.revision,
        module=event.module_id,
        name=event.secret_name,
        version="" if is_revoked else event.version,
        rotation=number_of(event.rotation_id) if isinstance(event, SecretRotated) else 0,
        binding=event.binding_id,
        vault=event.vault_uri,
        delivery=event.delivery,
        target=event.target,
        disabled=event.revoked,
        ended_at=now if is_revoked else None,
    )


def consumers_of(
    event: SecretBound | SecretRotated, own: SecretFact, known: Facts
) -> Iterator[SecretFact]:
    """Yield what *event*, of which *own* is recorded, says of the other modules with its secret."""
    consumers = event.consumers if isinstance(event, SecretRotated) else ()
    for consumer in consumers:
        fact = find_secret(known, consumer.module_id, own.name)
        if consumer.module_id != own.module and fact is not None and fact.vault == own.vault:
            yield replace(fact, version=own.version, rotation=own.rotation, disabled=own.disabled)


def number_of(rotation_id: str | None) -> int:
    """Return the number of a rotation, by which those of a secret are ordered; 0 without one."""
    return int(rotation_id.rpartition("-")[2]) if rotation_id else 0


def with_rollout(facts: Facts, rollout: SecretRollout, *, is_in_force: bool) -> Facts:
    """Return *facts* after *rollout* was asked for, or *is_in_force*, of a secret that is bound."""
    key = secret_key(rollout.module_id, rollout.secret_name)
    known = find_secret(facts, rollout.module_id, rollout.secret_name)
    assert known is not None, key
    number = number_of(rollout.rotation_id)
    after = replace(known.with_allowed(rollout.version), asked=max(known.asked, number))
    if is_in_force:
        after = after.with_version(rollout.version)
        after = replace(after, rotation=max(known.rotation, number))
    return {**facts, key: after}


def withdraw(known: SecretFact, version: str, number: int) -> SecretFact:
    """Return *known* after rotation *number*, whose *version* is the only one that stays."""
    return replace(
        known.with_version(version),
        rotation=max(known.rotation, number),
        asked=max(known.asked, number),
        allowed=(version,),
    )


def close_rotation(known: Facts, event: SecretRotationFailed) -> Facts | None:
    """Return *known* with no roll-out of a failed rotation begun any more; None for no change."""
    number = number_of(event.rotation_id)
    after = dict(known)
    for module in {event.module_id, *(each.module_id for each in event.consumers)}:
        fact = find_secret(known, module, event.secret_name)
        if fact is not None and fact.vault in {"", event.vault_uri}:
            key = secret_key(module, fact.name)
            after[key] = replace(fact, failed=max(fact.failed, number))
    return None if after == known else after


def recorded_of(
    components: Iterable[ReleasedComponent],
) -> Mapping[ModuleId, tuple[ReleasedSecret, ...]]:
    """Return what *components* recorded; of those that only knew versions it is not known."""
    return {
        component.module_id: component.secrets
        for component in components
        if component.secrets or not component.secret_versions
    }


def restored(
    recorded: Sequence[ReleasedSecret], facts: Iterable[Fact]
) -> tuple[ReleasedSecret, ...]:
    """Return what a component gets that had *recorded*, of *facts* of its module.

    That is the recorded version where it is enabled, else the current one. A secret whose binding
    was revoked is not given any more.
    """
    by_name = {fact.name: fact for fact in facts if fact.kind == SECRET}
    secrets = []
    for secret in recorded:
        fact = by_name.get(secret.name)
        if fact is None or fact.is_given(secret.version):
            secrets.append(secret)
        elif fact.version:
            secrets.append(to_released_secret(fact))
    return tuple(secrets)


def without_versions(component: ReleasedComponent) -> ReleasedComponent:
    """Return *component* with its secrets as they are in any of their versions."""
    given = sorted(component.secrets, key=BY_NAME)
    secrets = tuple(each.model_copy(update={"version": ""}) for each in given)
    return component.model_copy(update={"secrets": secrets, "secret_versions": {}})


def with_enabled(
    component: ReleasedComponent, facts: Iterable[Fact], revision: int
) -> ReleasedComponent:
    """Return *component*, or as *revision* with the versions that are enabled where one is not."""
    secrets = restored(component.secrets, facts)
    if secrets == component.secrets:
        return component
    return component.model_copy(
        update={
            "release_revision": revision,
            "secrets": secrets,
            "secret_versions": {secret.name: secret.version for secret in secrets},
            "routing": Routing(weights={str(revision): 100} if component.port else {}),
        }
    )


def departures(
    component: ReleasedComponent, live: Mapping[str, str], wanted: Sequence[ReleasedSecret]
) -> Iterator[Departure]:
    """Yield each secret of which an instance of *component* has another version than is recorded.

    *live* are the versions that it has, *wanted* those of a release that *component* brings back.
    """
    versions = {secret.name: secret.version for secret in wanted}
    for name in sorted({*component.secret_versions, *versions}):
        given, has = component.secret_versions.get(name), live.get(name)
        recorded = versions.get(name, given or "")
        if has != recorded:
            yield Departure(
                path=f"secrets/{name}"[:128],
                recorded=recorded,
                live=has or "none",
                reason=_reason(given, has, recorded),
            )


def _reason(given: str | None, has: str | None, recorded: str) -> Reason:
    if given is None:
        return Reason(code="SecretRevoked", message="the release had it; its binding was revoked")
    if has == given:
        message = f"{recorded}, which the release had, is disabled in the vault, or about to be"
        return Reason(code="SecretVersionDisabled", message=message)
    return Reason(code="Departs", message="the instance has another version of it")


def to_released_secret(fact: SecretFact) -> ReleasedSecret:
    """Return the secret of *fact* as a release unit records it."""
    return ReleasedSecret(
        name=fact.name,
        version=fact.version,
        vault_uri=fact.vault,
        delivery=fact.delivery,
        target=fact.target,
        binding_id=fact.binding,
    )
