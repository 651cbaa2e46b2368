"""The RuntimeEnvironment and the decisions about it. Pure; no I/O, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from function_apps.environments.errors import (
    ConfirmationMissing,
    EnvironmentExists,
    NotSupported,
    TransitionRefused,
)
from function_apps.environments.model.lifecycle import (
    LEAVING,
    TRANSITIONS,
    Applied,
    ApplyFailed,
    DecommissionRequested,
    Destroyed,
    DestroyFailed,
    Drained,
    EnvironmentEvent,
    OperationBegan,
    RequestRepeated,
    RetryRequested,
    Spec,
    State,
    UpdateRequested,
    sources,
)
from shared.contracts.environments import (
    ComputeTarget,
    EnvironmentChange,
    ProvisionEnvironment,
    UpdateOutcome,
)
from shared.contracts.values import Reason
from shared.kernel.clock import isoformat
from shared.kernel.errors import Violation


@dataclass(frozen=True)
class RuntimeEnvironment:
    """The aggregate. `revision` counts its changes, `fence` its owners.

    `operation_id` is the operation that owns the environment, or owned it last. `approved_plan` is
    the plan that its owner may apply, where a caller approved one.
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
    generation: int = 1
    revision: int = 1
    fence: int = 1
    targets: tuple[ComputeTarget, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    last_update: UpdateOutcome | None = None
    reason: Reason | None = None
    remaining: tuple[str, ...] = ()
    retain: tuple[str, ...] = ()
    drained: bool = False
    approved_plan: str | None = None
    decommissioned_at: str | None = None

    @property
    def fence_token(self) -> int:
        return self.fence

    @property
    def stack(self) -> str:
        return self.environment_id


def evolve(
    environment: RuntimeEnvironment, event: EnvironmentEvent, now: datetime
) -> RuntimeEnvironment:
    """Return *environment* after *event*, one revision later.

    Raises:
        TransitionRefused: the table has no row for this state and event.
    """
    target = TRANSITIONS[environment.status].get(type(event))
    if target is None:
        raise TransitionRefused(environment.status, type(event).__name__, sources(type(event)))
    moved = replace(
        environment,
        status=target,
        revision=environment.revision + 1,
        updated_at=isoformat(now),
        reason=None,
    )
    if isinstance(event, OperationBegan):
        moved = replace(moved, operation_id=event.operation_id, fence=environment.fence + 1)
    return _with_data(moved, event, is_update=environment.status is State.UPDATING)


def _with_data(
    moved: RuntimeEnvironment, event: EnvironmentEvent, *, is_update: bool
) -> RuntimeEnvironment:
    """Return *moved* with the data of *event*."""
    match event:
        case RequestRepeated(_, spec, stage, region, plan):
            moved = replace(
                moved, spec=spec, stage=stage, region=region, approved_plan=plan,
                generation=moved.generation + 1, decommissioned_at=None, remaining=(),
                last_update=None, drained=False,
            )  # fmt: skip
        case RetryRequested(_, spec, plan) | UpdateRequested(_, spec, plan):
            moved = replace(moved, spec=spec, approved_plan=plan)
        case DecommissionRequested(_, retain):
            moved = replace(moved, retain=retain, drained=not moved.targets)
        case Applied(targets, outputs):
            moved = replace(
                moved, targets=targets, outputs=outputs, remaining=(),
                last_update=UpdateOutcome.SUCCEEDED if is_update else None,
            )  # fmt: skip
        case ApplyFailed(reason, remaining):
            outcome = UpdateOutcome.FAILED if is_update else None
            moved = replace(moved, reason=reason, remaining=remaining, last_update=outcome)
        case Drained():
            moved = replace(moved, drained=True)
        case Destroyed(retained):
            moved = replace(
                moved, remaining=retained, targets=(), outputs={},
                decommissioned_at=moved.updated_at,
            )  # fmt: skip
        case DestroyFailed(reason, remaining):
            moved = replace(moved, reason=reason, remaining=remaining)
        case _:
            pass
    return moved


def spec_of(command: EnvironmentChange) -> Spec:
    """Return the content of *command*.

    Raises:
        NotSupported: it asks for a time to live, which this version does not keep.
    """
    if command.ttl is not None:
        raise NotSupported(
            "ttl: environments do not expire by themselves yet; leave it out", target="/ttl"
        )
    return Spec(
        isolation_model=command.isolation_model,
        compute_targets=tuple(command.compute_targets),
        data_resources=tuple(command.data_resources),
        protected=command.protected,
        tags=dict(command.tags),
        admits=tuple(command.admits),
    )


def new_environment(
    command: ProvisionEnvironment,
    *,
    environment_id: str,
    tenant_id: str,
    operation_id: str,
    trace_id: str,
    now: datetime,
) -> RuntimeEnvironment:
    """Return a new environment that waits to be planned."""
    at = isoformat(now)
    return RuntimeEnvironment(
        environment_id=environment_id,
        tenant_id=tenant_id,
        project_id=command.project_id,
        name=command.name,
        stage=command.stage,
        region=command.region,
        spec=spec_of(command),
        status=State.REQUESTED,
        operation_id=operation_id,
        created_at=at,
        updated_at=at,
        trace_id=trace_id,
        approved_plan=command.plan_id,
    )


def request_again(
    known: RuntimeEnvironment, command: ProvisionEnvironment, *, operation_id: str, now: datetime
) -> RuntimeEnvironment:
    """Return *known* requested once more: a new generation if it was decommissioned, else a retry.

    Raises:
        EnvironmentExists: it is active with other content.
        TransitionRefused: another operation has it.
    """
    spec = spec_of(command)
    if known.status is State.DECOMMISSIONED:
        repeated = RequestRepeated(
            operation_id, spec, command.stage, command.region, command.plan_id
        )
        return evolve(known, repeated, now)
    differing = differences(known, spec, stage=command.stage, region=command.region)
    is_elsewhere = any(each.target in {"/stage", "/region"} for each in differing)
    if known.status is State.FAILED and not is_elsewhere:
        return evolve(known, RetryRequested(operation_id, spec, command.plan_id), now)
    if differing and known.status not in LEAVING:
        raise EnvironmentExists(known.environment_id, differing)
    raise TransitionRefused(known.status, "ProvisionEnvironment", ("Failed", "Decommissioned"))


def is_same_request(known: RuntimeEnvironment, command: ProvisionEnvironment) -> bool:
    """Return whether *command* asks for the active environment: a repeat gets its first answer."""
    is_active = known.status not in {State.FAILED, *LEAVING}
    spec = spec_of(command)
    return is_active and not differences(known, spec, stage=command.stage, region=command.region)


def is_same_update(known: RuntimeEnvironment, spec: Spec) -> bool:
    """Return whether *spec* is being applied already."""
    same = not differences(known, spec, stage=known.stage, region=known.region)
    return same and known.status is State.UPDATING


def differences(
    known: RuntimeEnvironment, spec: Spec, *, stage: str, region: str
) -> Sequence[Violation]:
    """Return one violation for each field in which a request differs from *known*."""
    pairs = {
        "/stage": (known.stage, stage),
        "/region": (known.region, region),
        "/isolationModel": (known.spec.isolation_model, spec.isolation_model),
        "/computeTargets": (known.spec.compute_targets, spec.compute_targets),
        "/dataResources": (known.spec.data_resources, spec.data_resources),
        "/protected": (known.spec.protected, spec.protected),
        "/tags": (dict(known.spec.tags), dict(spec.tags)),
        "/admits": (known.spec.admits, spec.admits),
    }
    return [
        Violation("Differs", target, "differs from what is active", _short(active), _short(asked))
        for target, (active, asked) in pairs.items()
        if active != asked
    ]


def update(
    known: RuntimeEnvironment, spec: Spec, *, plan_id: str | None, operation_id: str, now: datetime
) -> RuntimeEnvironment:
    """Return *known* with *spec* to be applied. Raises TransitionRefused."""
    return evolve(known, UpdateRequested(operation_id, spec, plan_id), now)


def decommission(
    known: RuntimeEnvironment,
    *,
    confirm: str | None,
    retain: Sequence[str],
    operation_id: str,
    now: datetime,
) -> RuntimeEnvironment:
    """Return *known* about to be taken down.

    Raises:
        ConfirmationMissing: it is protected and *confirm* is not its name.
        TransitionRefused: its state does not allow it.
    """
    if known.spec.protected and confirm != known.name:
        raise ConfirmationMissing(known.name, confirm)
    return evolve(known, DecommissionRequested(operation_id, tuple(retain)), now)


def failure(
    environment: RuntimeEnvironment, reason: Reason, remaining: Sequence[str]
) -> EnvironmentEvent:
    """Return the event of an operation that ended early, whichever it was."""
    if environment.status is State.DECOMMISSIONING:
        return DestroyFailed(reason, tuple(remaining))
    return ApplyFailed(reason, tuple(remaining))


def _short(value: object) -> str:
    return str(value)[:120]
