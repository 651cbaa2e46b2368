"""The secrets of a component: as its bindings say, as a unit records them, as a surface gets them.

No value is here: the surface has each resolved for its instance.
"""

from collections.abc import Iterator
from dataclasses import replace

from function_apps.deployments.model.facts import SECRET, Facts, RecordedFact, secret_key
from shared.contracts.releases import ReleasedSecret
from shared.contracts.secret_bindings import (
    BindingStatus,
    RotationStatus,
    SecretBound,
    SecretRotated,
)
from shared.contracts.values import SecretDelivery
from shared.surfaces.secret_references import SecretReference


def fact_of(event: SecretBound | SecretRotated) -> RecordedFact:
    """Return what *event* says of the secret of its module; a revoked one has no version."""
    disabled, rotation = event.revoked, 0
    is_revoked = isinstance(event, SecretBound) and event.status is BindingStatus.REVOKED
    if isinstance(event, SecretRotated):
        rotation = int(event.rotation_id.rpartition("-")[2])
        if event.status is RotationStatus.REVOKED and event.previous_version is not None:
            disabled = (*disabled, event.previous_version)
    return RecordedFact(
        SECRET,
        event.revision,
        module=event.module_id,
        name=event.secret_name,
        value="" if is_revoked else event.version,
        rotation=rotation,
        binding=event.binding_id,
        vault=event.vault_uri,
        delivery=event.delivery,
        target=event.target,
        disabled=disabled,
    )


def consumers_of(
    event: SecretBound | SecretRotated, own: RecordedFact, known: Facts
) -> Iterator[RecordedFact]:
    """Yield what *event*, of which *own* is recorded, says of the other modules with its secret."""
    consumers = event.consumers if isinstance(event, SecretRotated) else ()
    for consumer in consumers:
        fact = known.get(secret_key(consumer.module_id, own.name))
        if consumer.module_id != own.module and fact is not None and fact.vault == own.vault:
            yield replace(fact, value=own.value, rotation=own.rotation, disabled=own.disabled)


def to_released_secret(fact: RecordedFact) -> ReleasedSecret:
    """Return the secret of *fact* as a release unit records it."""
    return ReleasedSecret(
        name=fact.name,
        version=fact.value,
        vault_uri=fact.vault,
        delivery=fact.delivery,
        target=fact.target,
        binding_id=fact.binding,
    )


def to_reference(secret: ReleasedSecret) -> SecretReference:
    """Return what a surface is asked to give of *secret*.

    Raises:
        Invalid: its place is none where a workload could find it.
    """
    is_file = secret.delivery is SecretDelivery.FILE
    return SecretReference(
        secret.name,
        secret.version,
        secret.vault_uri,
        variable=None if is_file else secret.target,
        file=secret.target if is_file else None,
    )
