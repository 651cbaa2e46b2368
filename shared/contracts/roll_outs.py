"""Commands that change what runs without a new image: configuration, secrets, place, repair."""

from typing import Annotated, Final

from pydantic import Field

from shared.contracts.releases import (
    ModuleIds,
)
from shared.contracts.shape import Command, Value
from shared.contracts.values import (
    ConfigurationId,
    Digest,
    DriftFindingId,
    EnvironmentId,
    IsolationModel,
    Label,
    ModuleId,
    Replicas,
    SecretBindingId,
    SecretRotationId,
    Slug,
    TenantBindingId,
    Text,
)
from shared.contracts.vault_names import VaultUri

NOTHING_TO_ROLL_OUT: Final = "NothingToRollOut"
"""The code with which deployments ends a roll-out of a module that runs nothing."""


class RollOutConfiguration(Command):
    """Bring a configuration version to the modules that float (all of them when none named)."""

    environment_id: EnvironmentId
    configuration_id: ConfigurationId
    version: Annotated[int, Field(ge=1)]
    content_hash: Digest
    modules: ModuleIds = ()


class SecretRollout(Value):
    """What a deployment of kind secret brings to its module: one version of one secret."""

    module_id: ModuleId
    binding_id: SecretBindingId
    secret_name: Label
    version: Label
    rotation_id: SecretRotationId | None = None
    canary: bool = False
    """The first consumer of its rotation. It is shown; every consumer is rolled out alike."""


class RollOutSecretVersion(Command):
    """Bring a secret's version to one consumer, as a deployment of kind secret.

    It has the steps and the gate of the release in force, its image and its configuration. Every
    event of it has the version in `secret`. It ends as other deployments do: Completed with the
    proofs of all instances, RolledBack with what is in force again as `releaseUnit`, or Failed.
    Where there is nothing to roll out it is Cancelled, with the reason `NothingToRollOut`: no
    release of the module is in force, or its binding was revoked; then no instance needs a proof,
    and its next release has the version.
    A version of an earlier rotation than one that was asked for is nothing, and has no answer. A
    repeat is answered by the events of the deployment on its way, or of the one in force.
    """

    environment_id: EnvironmentId
    module_id: ModuleId
    binding_id: SecretBindingId
    secret_name: Label
    version: Label
    rotation_id: SecretRotationId | None = None
    """Its number orders rotations; without it the version counts as the newest."""
    canary: bool = False
    vault_uri: VaultUri | None = None
    """Of a secret that is bound to another vault by now, nothing is rolled out."""

    @property
    def rollout(self) -> SecretRollout:
        return SecretRollout.model_validate(
            self.model_dump(exclude={"environment_id", "vault_uri"})
        )


class WithdrawSecretVersions(Command):
    """Give one module no version of a secret but this one any more, before the others are disabled.

    From then on neither a release nor a rollback brings another one. It is answered with
    `ConfirmWithdrawal` where nothing of the module has begun with another one, and what is in force
    has none; else with nothing: whoever sent it asks again.
    """

    environment_id: EnvironmentId
    module_id: ModuleId
    binding_id: SecretBindingId
    secret_name: Label
    version: Label
    """In force since the rotation, and the only one that stays."""
    vault_uri: VaultUri
    rotation_id: SecretRotationId


class Relocation(Value):
    """What a deployment of kind relocation is for: one module, by one move of its tenant."""

    module_id: ModuleId
    tenant_binding_id: TenantBindingId
    binding_revision: Annotated[int, Field(ge=1)]
    allow_downtime: bool = False


class RelocateWorkload(Command):
    """Cut one module over to what a moved tenant binding gives it.

    A deployment of kind relocation brings the release in force once more, with its steps and gate,
    by the binding at this revision or a later one. Every event of it has `relocation`. It ends as
    other deployments do; what refuses it ends it as Failed. It is Cancelled with `NothingToRollOut`
    where the module has no instance, or runs by such a binding already.
    """

    environment_id: EnvironmentId
    module_id: ModuleId
    tenant_binding_id: TenantBindingId
    binding_revision: Annotated[int, Field(ge=1)]
    isolation_model: IsolationModel
    namespace: Slug | None = None
    """For the record, as the model is: a relocation starts by the binding as deployments knows it.
    """
    allow_downtime: bool = False
    """Also a module that has a port and is stopped before it is started again (`recreate`)."""

    @property
    def relocation(self) -> Relocation:
        return Relocation(
            module_id=self.module_id,
            tenant_binding_id=self.tenant_binding_id,
            binding_revision=self.binding_revision,
            allow_downtime=self.allow_downtime,
        )


class ConfirmCutOver(Command):
    """Say when nothing of a moved tenant is on its way that began by its binding of before.

    It is answered with `AdvanceMove`, which names the revision; while there is such a deployment,
    with nothing: whoever sent it asks again.
    """

    environment_id: EnvironmentId
    tenant_binding_id: TenantBindingId
    binding_revision: Annotated[int, Field(ge=1)]


class RemediateDrift(Command):
    """Bring a workload back to its recorded release unit, because drift found it different."""

    environment_id: EnvironmentId
    module_id: ModuleId
    finding_id: DriftFindingId
    path: Text
    recorded_revision: Annotated[int, Field(ge=1)]
    """The release revision drift compared with; when it moved on, there is nothing to repair."""
    replicas: Replicas | None = None
    """The number of instances that somebody adopted; absent where it is the recorded one."""
    reason: Text = ""
