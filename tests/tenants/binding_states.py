"""Bindings of a guest in the states that they may have."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from function_apps.tenants.model.binding import (
    Move,
    State,
    Suspender,
    TenantBinding,
    new_binding,
)
from function_apps.tenants.model.environment import (
    EnvironmentProjection,
)
from function_apps.tenants.model.move import (
    MOVE,
)
from shared.contracts.environments import (
    BindingIsolation,
    ComputeTarget,
    IsolationState,
)
from shared.contracts.isolation import Quota
from shared.contracts.tenants import BindTenant, MovePhase
from shared.contracts.values import ComputeTargetKind, IsolationModel, ModuleId, Reason, Stage
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.tenants.bound import BINDING, GLOBEX

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
GUEST, OWNER = Suspender(TENANT, "ann"), Suspender(GLOBEX, "bob")
WHY = Reason(code="Why", message="words")
FAILED = Reason(code="QuotaDenied", message="no room")
A, B, C = (ModuleId(f"module-{each}") for each in "abc")
TARGET = ComputeTarget(
    kind=ComputeTargetKind.AKS, resource_ids=("/subscriptions/1",), capabilities=("namespaces",)
)


def environment(**changes: Any) -> EnvironmentProjection:
    made = EnvironmentProjection(
        ENVIRONMENT, 5, is_open=True, owner=GLOBEX, stage=Stage.DEV, region="westeurope",
        isolation_model=IsolationModel.SHARED, compute_targets=(TARGET,), generation=2,
    )  # fmt: skip
    return replace(made, **changes)


def fresh(**changes: Any) -> TenantBinding:
    command = BindTenant(environment_id=ENVIRONMENT, owner_tenant_id=GLOBEX, quota=Quota(cpu=2))
    made = new_binding(
        command, IsolationModel.SHARED, BINDING, tenant_id=TENANT, environment=environment(),
        now=NOW,
    )  # fmt: skip
    return replace(made, **changes)


def enforced(**changes: Any) -> TenantBinding:
    return replace(fresh(status=State.ENFORCED, revision=3, due_at="soon"), **changes)


def moving(phase: MovePhase = MovePhase.CUT_OVER, **changes: Any) -> TenantBinding:
    """Return one that is moved from shared to a pool, by the binding of revision 4."""
    move = Move(IsolationModel.SHARED, phase, binding_revision=4, **changes)
    return enforced(
        status=State.MOVING, revision=4, isolation_model=IsolationModel.POOL, move=move,
        reason=Reason(code=MOVE, message="asked"), namespace="ns",
    )  # fmt: skip


def isolation(state: IsolationState, revision: int = 9, **changes: Any) -> BindingIsolation:
    return BindingIsolation(binding_id=BINDING, revision=revision, state=state, **changes)
