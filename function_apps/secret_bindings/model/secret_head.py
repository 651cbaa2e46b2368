"""The head of one secret of one vault: all its consumers, and the version in force. Pure.

Rotations are about a secret, not about a binding: its consumers change over together.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from function_apps.secret_bindings.errors import ConsumersFull, GeneratorDiffers
from shared.contracts.alerts import AlertSubject
from shared.contracts.secret_bindings import ConsumerProof, Generator
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import SecretRotationId, parse_id, secret_rotation_id

CONSUMERS_MAX: Final = 200
"""As many as an event of a rotation names."""
FAILED_MAX: Final = 20
"""Versions that are remembered because rotations to them failed."""


@dataclass(frozen=True)
class Rejection:
    """The version of a deployment that ended without it; of a roll-out, for which rotation."""

    version: str
    rotation_id: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Consumer:
    """A module with a binding, and the version that the instances of its last release proved.

    `version` is None where they did not all prove one. A module without a release, or whose release
    has no such secret, is not `is_running`: nothing of it needs a proof.
    """

    binding_id: str
    module_id: str
    is_running: bool = False
    release_revision: int = 0
    version: str | None = None
    proved_at: str | None = None
    ended_at: str = ""
    """The end of the deployment that this is known from; an older one says nothing."""
    rejected: Rejection | None = None
    """The version that this deployment was to bring, and did not."""

    @property
    def proof(self) -> ConsumerProof:
        """The version that its instances proved, as it is shown; none where nothing of it runs."""
        return ConsumerProof.model_validate(
            {
                "bindingId": self.binding_id,
                "moduleId": self.module_id,
                "version": self.version if self.is_running else None,
                "releaseRevision": self.release_revision,
                "provedAt": self.proved_at if self.is_running else None,
            }
        )


@dataclass(frozen=True)
class SecretHead:
    """`version` is in force: what a new consumer is given. `rotations` counts them.

    `rotation_id` is in flight. `failed_version` is what the last rotation came to that failed,
    until one ends well: no poll of the vault takes it, or an older one, for one that somebody set
    by hand, and a rotation to the version in force takes up what it left.
    """

    secret: str
    tenant_id: str
    environment_id: str
    vault_uri: str
    secret_name: str
    external: bool
    version: str | None = None
    consumers: tuple[Consumer, ...] = ()
    generator: Generator | None = None
    rotations: int = 0
    rotation_id: str | None = None
    failed_version: str | None = None
    failed_before: tuple[str, ...] = ()
    """The versions of others that failed before it, the newest last."""
    left: tuple[Consumer, ...] = ()
    """Consumers that were revoked while they ran: nothing waits for them, and a binding again knows
    what they run."""
    alerted_at: str | None = None
    """Since when the alert about a failed rotation is raised."""

    @property
    def in_force(self) -> str | None:
        """The version that a new consumer is given; None where the first one brings it."""
        return self.version if self.consumers else None

    @property
    def failed_versions(self) -> tuple[str, ...]:
        """The versions to which a rotation failed since one ended well, the newest last."""
        return (*self.failed_before, self.failed_version) if self.failed_version else ()

    @property
    def followed_rotation_id(self) -> SecretRotationId | None:
        """The rotation that consumers may follow: in flight, or the last one, if it failed."""
        if self.rotation_id is None and self.failed_version is None:
            return None
        key = parse_id(self.environment_id, "env").environment
        return secret_rotation_id(key, self.secret, self.rotations)

    @property
    def is_over(self) -> bool:
        """Return whether nobody is given the secret, and nothing is at work on it."""
        return not self.consumers and self.rotation_id is None

    def consumer_again(self, binding_id: str, module_id: str) -> Consumer:
        """Return what is known of a consumer that is bound, or bound again."""
        known = (*self.consumers, *self.left)
        found = next((each for each in known if each.binding_id == binding_id), None)
        return found or Consumer(binding_id, module_id)

    def consumer(self, binding_id: str) -> Consumer | None:
        """Return the consumer with that binding; None where there is none."""
        return next((each for each in self.consumers if each.binding_id == binding_id), None)


def add_consumer(
    head: SecretHead, consumer: Consumer, version: str, generator: Generator | None
) -> SecretHead:
    """Return *head* with one more consumer; *version* is in force where none was.

    Raises:
        ConsumersFull: it has 200.
        GeneratorDiffers: the others have values of another.
    """
    others = tuple(each for each in head.consumers if each.binding_id != consumer.binding_id)
    require_room(head, consumer.binding_id)
    require_generator(head, consumer.binding_id, generator)
    return replace(
        head,
        version=head.in_force or version,
        consumers=(*others, consumer),
        left=tuple(each for each in head.left if each.binding_id != consumer.binding_id),
        generator=generator or head.generator,
    )


def require_room(head: SecretHead | None, binding_id: str) -> None:
    """Refuse one more consumer than a secret may have. Raises ConsumersFull."""
    if head is None or head.consumer(binding_id) or len(head.consumers) < CONSUMERS_MAX:
        return
    raise ConsumersFull(f"{head.secret_name} has {CONSUMERS_MAX} consumers, as many as it may have")


def require_generator(
    head: SecretHead | None, binding_id: str, generator: Generator | None
) -> None:
    """Refuse another generator than that of other consumers. Raises GeneratorDiffers."""
    if head is None or generator is None or head.generator in (None, generator):
        return
    if any(each.binding_id != binding_id for each in head.consumers):
        raise GeneratorDiffers(head.secret_name)


def remove_consumer(head: SecretHead, binding_id: str) -> SecretHead:
    """Return *head* without one consumer; what it still runs is remembered."""
    removed = head.consumer(binding_id)
    others = tuple(each for each in head.consumers if each.binding_id != binding_id)
    is_running = removed is not None and removed.is_running
    left = (*head.left, removed) if removed and is_running else head.left
    return replace(head, consumers=others, left=left[-CONSUMERS_MAX:])


def forget(head: SecretHead) -> SecretHead | None:
    """Return *head*, of an environment that is gone: none of those that left runs any more.

    None where nothing is forgotten.
    """
    return replace(head, left=()) if head.left else None


def prove(head: SecretHead, proof: Consumer) -> SecretHead | None:
    """Return *head* after *proof*, of one of its consumers; None where as new a one is known."""
    known = head.consumer(proof.binding_id)
    if known is None or not _is_newer(proof, known):
        return None
    if not proof.is_running:
        proof = replace(proof, release_revision=known.release_revision)
    consumers = (proof if each.binding_id == known.binding_id else each for each in head.consumers)
    return replace(head, consumers=tuple(consumers))


def refuse(
    head: SecretHead, binding_id: str, rejected: Rejection, ended_at: str
) -> SecretHead | None:
    """Return *head* after a roll-out to a consumer ended without a release: it runs what it did.

    None where something as new is known.
    """
    known = head.consumer(binding_id)
    if known is None or known.ended_at >= ended_at:
        return None
    refused = replace(known, rejected=rejected, ended_at=ended_at)
    consumers = (refused if each is known else each for each in head.consumers)
    return replace(head, consumers=tuple(consumers))


def _is_newer(proof: Consumer, known: Consumer) -> bool:
    if not proof.is_running:
        return known.ended_at < proof.ended_at
    return (known.release_revision, known.ended_at) < (proof.release_revision, proof.ended_at)


def proved_version(recorded: str, instances: Iterable[str | None]) -> str | None:
    """Return *recorded*, the version of a release, if each of its instances proved it."""
    return recorded if all(each == recorded for each in instances) else None


def alert_subject(environment_id: str, secret: str) -> AlertSubject:
    """Return a secret of an environment as what alerts are of."""
    return AlertSubject(f"{environment_id}/{secret}", environment_id)
