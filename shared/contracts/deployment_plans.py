"""Resources of dry runs: what a release, a rollback or a cancellation would do."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from shared.contracts.deployments import TakenBack
from shared.contracts.releases import ModuleIds, ReleasedComponent, ReleaseRef
from shared.contracts.shape import Resource, Value
from shared.contracts.strategies import Strategy
from shared.contracts.values import (
    COMPONENTS_MAX,
    Count,
    DeploymentId,
    EnvironmentId,
    Label,
    ModuleId,
    Reason,
    Text,
    Version,
)


def secret_left_out(module: ModuleId, secret: str) -> str:
    """Return how the warning begins about a *secret* that *module* has, and is given no more.

    A client that binds it beforehand leaves that warning out.
    """
    return f"{module} has the secret {secret}"


class PlannedRemoval(Value):
    """A module that a deployment would take away, as it is in force now."""

    module_id: ModuleId
    release_revision: Annotated[int, Field(ge=1)] | None
    """None of one that is only on its way."""
    version: Version | None
    """None where the deployment that released it is not known any more."""


class PlannedRestore(Value):
    """A module of which an earlier release would be in force, or would stay."""

    module_id: ModuleId
    version: Version | None
    """None where the deployment that released it is not known any more."""
    release_ref: ReleaseRef | None = None
    """Of the release that it comes from; None of one on its way, where what is in force stays."""
    starts_again: bool = False
    """A `recreate` on its way may have stopped it: no instance serves until it is ready."""


class RollbackPlan(Resource):
    """What a rollback or a cancellation would take back (`dryRun`); nothing was changed."""

    environment_id: EnvironmentId
    taken_back: TakenBack
    release_ref: ReleaseRef | None
    """The release that would come back, or stay where only a roll-out to it is taken back.

    None of one on its way: what is in force stays, or is started again (`startsAgain`).
    """
    restores: Annotated[tuple[PlannedRestore, ...], Field(max_length=COMPONENTS_MAX)]
    """What would be in force then of the modules that it takes back."""
    removals: Annotated[tuple[PlannedRemoval, ...], Field(max_length=COMPONENTS_MAX)]
    """Modules that it brought first: they would be taken away with all that they run."""
    waiting_for: Label | None
    holder: DeploymentId | None
    warnings: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What is allowed and probably not meant; the request answers the same."""


class DeploymentPlan(Resource):
    """What a deployment would do (`dryRun`); nothing was changed."""

    environment_id: EnvironmentId
    release_ref: ReleaseRef
    strategy: Strategy
    components: Annotated[tuple[ReleasedComponent, ...], Field(max_length=COMPONENTS_MAX)]
    order: ModuleIds
    """Dependencies first."""
    removals: Annotated[tuple[PlannedRemoval, ...], Field(max_length=COMPONENTS_MAX)] = ()
    refusals: Annotated[tuple[Reason, ...], Field(max_length=100)]
    replicas: Annotated[Mapping[ModuleId, Count], Field(max_length=COMPONENTS_MAX)] = Field(
        default_factory=dict
    )
    """How many instances each component would begin with.

    One whose number a policy has begins with as many as run, and never with fewer than the minimum,
    which is what its release records. Empty where the plan is refused, or repeats a release.
    """
    warnings: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What is allowed and probably not meant; the request answers the same."""
    waiting_for: Label | None
    repeats: DeploymentId | None = None
    """The deployment on its way, or in force, that answers this request: nothing would begin.

    The rest of the plan is that of the same release once more, as its modules would be given it.
    """
