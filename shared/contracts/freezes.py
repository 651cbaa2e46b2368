"""A freeze: a span in which deployments are refused; a rollback is exempt, an override audited."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contracts.shape import Command, Resource
from shared.contracts.values import (
    EnvironmentId,
    Instant,
    Label,
    ModuleId,
    Revision,
    TenantId,
    Text,
)

FrozenModules = Annotated[tuple[ModuleId, ...], Field(max_length=200)]


class FreezeStatus(StrEnum):
    PLANNED = "Planned"
    IN_FORCE = "InForce"
    ENDED = "Ended"


class DeclareFreeze(Command):
    """POST /freezes."""

    environment_id: EnvironmentId
    modules: FrozenModules = ()
    """All of them when empty."""
    from_at: Instant
    until_at: Instant
    reason: Text

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until_at <= self.from_at:
            raise ValueError("untilAt is later than fromAt")
        return self


class Freeze(Resource):
    """GET /freezes/{freezeId}."""

    freeze_id: Label
    tenant_id: TenantId
    environment_id: EnvironmentId
    modules: FrozenModules
    from_at: Instant
    until_at: Instant
    reason: Text
    declared_by: Label
    status: FreezeStatus
    revision: Revision
