"""The RuntimeEnvironment and what each event makes of it. Pure; no I/O, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Final

from function_apps.environments.errors import SiloNotAlone
from function_apps.environments.model.lifecycle import (
    IN_FLIGHT,
    TRANSITIONS,
    Applied,
    ApplyFailed,
    ContentRequested,
    DecommissionRequested,
    Destroyed,
    DestroyFailed,
    Drained,
    EnvironmentEvent,
    OperationBegan,
    RepairRequested,
    RequestRepeated,
    Spec,
    State,
)
from shared.contracts.environments import (
    BindingIsolation,
    ComputeTarget,
    DataResourceSpec,
    UpdateOutcome,
)
from shared.contracts.values import IsolationModel, Reason
from shared.infrastructure.inputs import data_resource_name
from shared.infrastructure.port import RunId, StackName
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

REMAINING_MAX: Final = 200
"""As many as an event carries; a stack of more is counted in the last entry."""


@dataclass(frozen=True)
class RuntimeEnvironment:
    """The aggregate. `revision` counts its changes, `fence` its owners.

    `spec` is what was asked last, `applied` what was applied last: after a failed update they
    differ. `operation_id` is the operation that owns the environment, or owned it last;
    `superseded` the one that it took over from, whose run may still be at work. `approved_plan` is
    the plan that its owner may apply, where a caller approved one. `retain` names what the
    decommissioning at work keeps, `retained` is the data that earlier ones kept; `deletes` names
    the data that the owner may delete. `isolation` is of the tenant's own binding, and `silo_bound`
    says that it asks for a silo; `bound` has the bindings of other tenants, without whom it is not
    decommissioned.
    """

    environment_id: str
    tenant_id: str
    project_id: str
    name: str
    stage: str
    region: str
    spec: Spec
    status: State
    operation_id: str
    created_at: str
    updated_at: str
    trace_id: str
    applied: Spec | None = None
    superseded: str | None = None
    generation: int = 1
    revision: int = 1
    fence: int = 1
    targets: tuple[ComputeTarget, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    last_update: UpdateOutcome | None = None
    reason: Reason | None = None
    remaining: tuple[str, ...] = ()
    retain: tuple[str, ...] = ()
    retained: tuple[DataResourceSpec, ...] = ()
    deletes: tuple[str, ...] = ()
    drained: bool = False
    approved_plan: str | None = None
    decommissioned_at: str | None = None
    isolation: tuple[BindingIsolation, ...] = ()
    bound: tuple[str, ...] = ()
    silo_bound: bool = False
    is_repair: bool = False
    """Its owner looks at what is live before it plans."""

    @property
    def is_silo(self) -> bool:
        """It is of its owner alone: its content says so, or the owner's binding."""
        return self.silo_bound or self.in_force.isolation_model is IsolationModel.SILO

    @property
    def fence_token(self) -> int:
        return self.fence

    @property
    def stack(self) -> StackName:
        return StackName(self.environment_id)

    @property
    def run_id(self) -> RunId:
        """The run of the owner; a start that is repeated is the same run."""
        return RunId(self.stack, self.operation_id)

    @property
    def in_force(self) -> Spec:
        """The content that is live or on its way; a failed update leaves the earlier one."""
        is_live = self.status is State.PROVISIONED
        return self.applied if is_live and self.applied is not None else self.spec

    @property
    def is_protected(self) -> bool:
        """Something of it may be protected: an update that lifts that may not be done."""
        return self.spec.protected or (self.applied is not None and self.applied.protected)

    @property
    def known_data(self) -> Sequence[DataResourceSpec]:
        """The data that was asked for, applied or retained, so may be there."""
        applied = self.applied.data_resources if self.applied else ()
        return (*self.spec.data_resources, *applied, *self.retained)

    @property
    def data_resources(self) -> Sequence[str]:
        """The names of the data that may be there, also of what a failed update did not delete."""
        names = [*(each.name for each in self.known_data), *self.deletes]
        return list(dict.fromkeys(names))

    @property
    def still_retained(self) -> tuple[DataResourceSpec, ...]:
        """The retained data that its content neither takes over nor may delete."""
        named = {*(each.name for each in self.spec.data_resources), *self.deletes}
        return tuple(each for each in self.retained if each.name not in named)


def evolve(
    environment: RuntimeEnvironment, event: EnvironmentEvent, now: datetime
) -> RuntimeEnvironment:
    """Return *environment* after *event*, one revision later.

    Raises:
        TransitionRefused: the table has no row for this state and event.
    """
    moved = replace(
        environment,
        status=TRANSITIONS.after(environment.status, type(event)),
        revision=environment.revision + 1,
        updated_at=isoformat(now),
        reason=None,
    )
    if isinstance(event, OperationBegan):
        moved = replace(
            moved,
            operation_id=event.operation_id,
            fence=environment.fence + 1,
            superseded=environment.operation_id if environment.status in IN_FLIGHT else None,
        )
    return _with_data(moved, event, is_update=environment.status is State.UPDATING)


def _with_data(
    moved: RuntimeEnvironment, event: EnvironmentEvent, *, is_update: bool
) -> RuntimeEnvironment:
    """Return *moved* with the data of *event*."""
    match event:
        case RequestRepeated(_, spec, plan, deletes):
            moved = replace(
                moved, spec=spec, stage=event.stage, region=event.region, approved_plan=plan,
                generation=moved.generation + 1, decommissioned_at=None, remaining=(),
                last_update=None, drained=False, retain=(), applied=None, deletes=deletes,
                is_repair=False,
                # Documents of earlier versions have the URNs only.
                retained=moved.retained or _among(moved.known_data, moved.remaining),
            )  # fmt: skip
        case ContentRequested(_, spec, plan, deletes):
            moved = replace(
                moved, spec=spec, approved_plan=plan, deletes=deletes,
                is_repair=isinstance(event, RepairRequested),
            )  # fmt: skip
        case DecommissionRequested(_, retain):
            moved = replace(moved, retain=retain, drained=not moved.targets)
        case Applied(targets, outputs):
            moved = replace(
                moved, targets=targets, outputs=outputs, remaining=(), applied=moved.spec,
                retained=moved.still_retained, deletes=(),
                last_update=UpdateOutcome.SUCCEEDED if is_update else None,
            )  # fmt: skip
        case ApplyFailed(reason, remaining):
            outcome = UpdateOutcome.FAILED if is_update else None
            moved = replace(
                moved, reason=reason, remaining=_bounded(remaining), last_update=outcome
            )
        case Drained():
            moved = replace(moved, drained=True)
        case Destroyed(retained):
            moved = replace(
                moved, remaining=_bounded(retained), targets=(), outputs={}, isolation=(),
                silo_bound=False,
                retained=_among(moved.known_data, retained), decommissioned_at=moved.updated_at,
            )  # fmt: skip
        case DestroyFailed(reason, remaining):
            moved = replace(moved, reason=reason, remaining=_bounded(remaining))
        case _:
            pass
    return moved


def _among(data: Sequence[DataResourceSpec], urns: Sequence[str]) -> tuple[DataResourceSpec, ...]:
    """Return those of *data*, each name once, that are among the resources *urns*."""
    names = {urn.rpartition("::")[2] for urn in urns}
    by_name = {each.name: each for each in data if data_resource_name(each.name) in names}
    return tuple(by_name.values())


def _bounded(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) <= REMAINING_MAX:
        return tuple(names)
    kept = tuple(names[: REMAINING_MAX - 1])
    return (*kept, f"and {len(names) - len(kept)} more")


def with_isolation(
    environment: RuntimeEnvironment,
    isolation: BindingIsolation,
    now: datetime,
    *,
    keeps_alone: bool,
) -> RuntimeEnvironment:
    """Return *environment*, one revision later, with the isolation of its tenant's own binding."""
    return replace(
        environment,
        isolation=(isolation,),
        silo_bound=environment.silo_bound and keeps_alone,
        revision=environment.revision + 1,
        updated_at=isoformat(now),
    )


def require_alone(environment: RuntimeEnvironment) -> RuntimeEnvironment:
    """Return *environment*.

    Raises:
        SiloNotAlone: it is a silo, and admits other tenants or has some bound to it.
    """
    admits, bound = environment.in_force.admits, environment.bound
    if environment.is_silo and (admits or bound):
        raise SiloNotAlone(environment.environment_id, admits, len(bound))
    return environment


def with_next_fence(environment: RuntimeEnvironment) -> RuntimeEnvironment:
    """Return *environment* under the next fence: what its operation still writes is refused."""
    return replace(environment, fence=environment.fence + 1)


def failure(
    environment: RuntimeEnvironment, reason: Reason, remaining: Sequence[str]
) -> EnvironmentEvent:
    """Return the event of an operation that ended early, whichever it was."""
    if environment.status is State.DECOMMISSIONING:
        return DestroyFailed(reason, tuple(remaining))
    return ApplyFailed(reason, tuple(remaining))
