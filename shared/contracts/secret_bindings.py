"""Commands, events and resources of secret_bindings: which workload reads which secret.

A secret's value is in no type of this module: it is made or kept in the vault, and only the
workload reads it.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    Duration,
    EnvironmentId,
    Instant,
    Label,
    ModuleId,
    OperationId,
    Reason,
    Revision,
    SecretBindingId,
    SecretDelivery,
    SecretRotationId,
    Settings,
    TenantId,
    Text,
)
from shared.contracts.vault_names import SecretName, SecretVersion, VaultUri
from shared.kernel.dataclass import dataclass


class BindingStatus(StrEnum):
    REQUESTED = "Requested"
    FAILED = "Failed"
    """No version was found or made for it; it may be asked for again."""
    BOUND = "Bound"
    REVOKED = "Revoked"


class RotationStatus(StrEnum):
    CREATED = "Created"
    SET = "Set"
    """At the resource that uses it."""
    TESTED = "Tested"
    CANARY = "Canary"
    ROLLING = "Rolling"
    VERIFIED = "Verified"
    REVOKED = "Revoked"
    """Old versions are disabled."""
    FAILED = "Failed"


class GeneratorKind(StrEnum):
    RANDOM = "random"
    """Characters of base64url."""
    KEY_PAIR = "keyPair"
    """An Ed25519 private key in PEM (PKCS#8), which has the public one in it."""
    WEBHOOK = "webhook"
    """What a service of the tenant makes, asked by a signed request: `url`, `key` in settings."""
    DATABASE_PASSWORD = "databasePassword"  # noqa: S105  a kind of generator
    STORAGE_KEY = "storageKey"
    SERVICE_BUS_KEY = "serviceBusKey"


class Generator(Value):
    """How new versions are made."""

    kind: GeneratorKind
    length: Annotated[int, Field(ge=16, le=512)] = 43
    """Characters; 43 of base64url are 256 bits."""
    settings: Settings = Field(default_factory=dict)
    """The resource it belongs to; never a value."""


class RotationPolicy(Value):
    every: Duration | None = None
    """Rotated by hand only when not given."""
    overlap: Duration | None = None
    """Both versions stay enabled; the default when not given."""
    canary: bool = True


class BindSecret(Command):
    """POST /secret-bindings. The natural key: environment, module and secret name."""

    environment_id: EnvironmentId
    module_id: ModuleId
    secret_name: SecretName
    vault_uri: VaultUri | None = None
    """The environment's own vault when not given."""
    external: bool = False
    """Owned outside the platform: read and rotated to, never revoked."""
    generator: Generator | None = None
    delivery: SecretDelivery = SecretDelivery.ENVIRONMENT_VARIABLE
    target: Label
    """Name of the variable, or path of the file below the workload's secrets folder."""
    rotation: RotationPolicy = Field(default_factory=RotationPolicy)
    dry_run: bool = False

    @model_validator(mode="after")
    def _an_external_one_says_where(self) -> Self:
        if self.external and self.vault_uri is None:
            raise ValueError("an external secret has a vaultUri")
        if self.external and self.generator is not None:
            raise ValueError("an external secret has no generator: its owner makes versions")
        return self


class SecretRotationOrder(Command):
    """POST /secret-bindings/{bindingId}/rotate."""

    version: SecretVersion | None = None
    """An existing version to move to; otherwise one is made."""
    overlap: Duration | None = None
    reason: Text = ""


class RotateSecret(SecretRotationOrder):
    binding_id: SecretBindingId


class Revocation(Command):
    """POST /secret-bindings/{bindingId}/revoke."""

    reason: Text


class ConsumerProof(Value):
    """That one consumer runs a version: proved by its instances, not by us."""

    binding_id: SecretBindingId
    module_id: ModuleId
    version: SecretVersion | None
    release_revision: Revision = 0
    proved_at: Instant | None = None


class SecretFacts(Event):
    """The fields of every event about a secret; never a value."""

    environment_id: EnvironmentId
    binding_id: SecretBindingId
    module_id: ModuleId
    secret_name: SecretName
    vault_uri: VaultUri
    version: SecretVersion
    delivery: SecretDelivery
    target: Label
    revoked: Annotated[tuple[SecretVersion, ...], Field(max_length=50)] = ()
    """Versions of it that are disabled in the vault, the newest last: no rollback restores them."""


class SecretBound(SecretFacts):
    """`aggregate_id` is the binding's id."""

    status: BindingStatus


class RotationFacts(SecretFacts):
    """`aggregate_id` is the rotation's id."""

    rotation_id: SecretRotationId
    previous_version: SecretVersion | None = None
    status: RotationStatus
    consumers: Annotated[tuple[ConsumerProof, ...], Field(max_length=200)] = ()


class SecretRotated(RotationFacts):
    """Its version is in force: published as Verified, and again as Revoked.

    As Revoked, `revoked` has `previous_version` too, unless the vault is external: nothing is
    disabled there.
    """

    overlap_until: Instant


class SecretRotationFailed(RotationFacts):
    """The proved stay on the new version, the others on the old; all versions stay enabled."""

    reason: Reason


class SecretExpiring(SecretFacts):
    """`aggregate_id` is the binding's id."""

    expires_at: Instant


class SecretBinding(Resource):
    """GET /secret-bindings/{bindingId}."""

    binding_id: SecretBindingId
    tenant_id: TenantId
    environment_id: EnvironmentId
    module_id: ModuleId
    secret_name: SecretName
    vault_uri: VaultUri
    external: bool
    version: SecretVersion | None
    identity: Label | None
    delivery: SecretDelivery
    target: Label
    rotation: RotationPolicy
    generator: Generator | None = None
    """How new versions are made; None where they are set in the vault."""
    status: BindingStatus
    reason: Text = ""
    """The code and the words of why it Failed; of one that was revoked, who revoked it says why."""
    rotated_at: Instant | None
    expires_at: Instant | None
    revision: Revision
    last_operation_id: OperationId | None


class BindingChange(StrEnum):
    """The difference that a command to bind makes."""

    NOTHING = "Nothing"
    """It is bound as it is asked for, or about to be."""
    BIND = "Bind"
    BIND_AGAIN = "BindAgain"
    """It was revoked, or its last try ended without a version."""


class SecretBindingPlan(Resource):
    """POST /secret-bindings with `dryRun`."""

    binding_id: SecretBindingId
    change: BindingChange
    status: BindingStatus | None
    """Now; null where there is none."""
    version: SecretVersion | None
    """That of the binding, or the one that other modules have; null where the work finds it."""
    refusals: Annotated[tuple[Reason, ...], Field(max_length=10)] = ()
    """Why the work would end without a version, as the vault is now."""


class SecretRotation(Resource):
    """GET /secret-rotations/{rotationId}."""

    rotation_id: SecretRotationId
    tenant_id: TenantId
    environment_id: EnvironmentId
    vault_uri: VaultUri
    secret_name: SecretName
    from_version: SecretVersion | None
    to_version: SecretVersion | None
    """None until it was made."""
    status: RotationStatus
    consumers: Annotated[tuple[ConsumerProof, ...], Field(max_length=200)]
    canary: bool
    """One consumer follows before the others, where any runs."""
    overlap: Duration
    """How long old versions stay enabled once every consumer runs the new one."""
    overlap_until: Instant | None
    """None until every consumer does."""
    request_reason: Text
    """The words of who asked for it."""
    reason: Reason | None
    """Why it failed."""
    revision: Revision
    created_at: Instant
    ended_at: Instant | None
    operation_id: OperationId


@dataclass(frozen=True)
class RotationDefaults:
    """The numbers of a rotation."""

    overlap: timedelta = timedelta(hours=48)
    """Or the slowest surface's adoption bound, whichever is longer."""
    proof_within: timedelta = timedelta(minutes=10)
    """Per consumer, from the start of its own roll-out."""
    reloading_ratio_max: float = 0.1
    """Modules that reload at once."""
    due_check: timedelta = timedelta(hours=1)
