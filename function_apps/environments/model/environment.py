"""The RuntimeEnvironment and the decisions that move it. Pure; no I/O, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from function_apps.environments.errors import (
    ConfirmationMissing,
    EnvironmentExists,
    NotOffered,
    TransitionRefused,
)
from function_apps.environments.model.states import (
    TRANSITIONS,
    Applied,
    ApplyFailed,
    DecommissionBegan,
    Destroyed,
    DestroyFailed,
    EnvironmentEvent,
    PlanningBegan,
    RequestRepeated,
    State,
    UpdateBegan,
    sources,
)
from shared.contracts.environments import (
    ComputeTarget,
    ComputeTargetSpec,
    DataResourceSpec,
    EnvironmentChange,
    ProvisionEnvironment,
    UpdateOutcome,
)
from shared.contracts.values import IsolationModel, Reason
from shared.kernel.clock import isoformat
from shared.kernel.errors import Violation


@dataclass(frozen=True)
class Spec:
    """What was asked for and may change after creation."""

    isolation_model: IsolationModel
    compute_targets: Sequence[ComputeTargetSpec]
    data_resources: Sequence[DataResourceSpec]
    protected: bool
    tags: Mapping[str, str]
    admits: Sequence[str]


@dataclass(frozen=True)
class RuntimeEnvironment:
    """The aggregate. `revision` counts its changes, `fence` the rights to change its stack.

    `operation_id` is the operation that holds the environment, or held it last.
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
    targets: Sequence[ComputeTarget] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    last_update: UpdateOutcome | None = None
    reason: Reason | None = None
    remaining: Sequence[str] = ()
    retain: Sequence[str] = ()
    drained: bool = False
    decommissioned_at: str | None = None

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
    match event:
        case Applied(targets, outputs):
            updated = UpdateOutcome.SUCCEEDED if environment.status is State.UPDATING else None
            return replace(
                moved, targets=tuple(targets), outputs=dict(outputs), last_update=updated,
                remaining=(),
            )  # fmt: skip
        case ApplyFailed(reason, remaining):
            failed = UpdateOutcome.FAILED if environment.status is State.UPDATING else None
            return replace(moved, reason=reason, remaining=tuple(remaining), last_update=failed)
        case Destroyed(retained):
            return replace(
                moved, remaining=tuple(retained), targets=(), outputs={},
                decommissioned_at=isoformat(now),
            )  # fmt: skip
        case DestroyFailed(reason, remaining):
            return replace(moved, reason=reason, remaining=tuple(remaining))
        case _:
            return moved


def spec_of(command: EnvironmentChange) -> Spec:
    """Return what *command* asks for.

    Raises:
        NotOffered: it asks for a time to live, which this version does not keep.
    """
    if command.ttl is not None:
        raise NotOffered(
            "ttl: environments do not expire by themselves yet; leave it out",
            target="/ttl",
        )
    return Spec(
        isolation_model=command.isolation_model,
        compute_targets=command.compute_targets,
        data_resources=command.data_resources,
        protected=command.protected,
        tags=dict(command.tags),
        admits=command.admits,
    )


_LEAVING: Final = frozenset(
    {State.DECOMMISSIONING, State.DECOMMISSION_FAILED, State.DECOMMISSIONED}
)


def request(
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
    )


def request_again(
    known: RuntimeEnvironment, command: ProvisionEnvironment, *, operation_id: str, now: datetime
) -> RuntimeEnvironment:
    """Return *known* requested once more: a new generation if it was decommissioned, else a retry.

    Raises:
        EnvironmentExists: it is active with other content.
        TransitionRefused: another operation has it.
    """
    wanted = spec_of(command)
    if known.status is State.DECOMMISSIONED:
        renewed = evolve(known, RequestRepeated(), now)
        return replace(
            renewed,
            spec=wanted,
            stage=command.stage,
            region=command.region,
            generation=known.generation + 1,
            fence=known.fence + 1,
            operation_id=operation_id,
            decommissioned_at=None,
            remaining=(),
            last_update=None,
            drained=False,
        )
    if known.status in _LEAVING:
        raise TransitionRefused(known.status, "ProvisionEnvironment", ("Failed", "Decommissioned"))
    differing = differences(known, wanted, stage=command.stage, region=command.region)
    fixed = [each for each in differing if each.target in {"/stage", "/region"}]
    if known.status is State.FAILED and not fixed:
        planned = evolve(known, PlanningBegan(), now)
        return replace(planned, spec=wanted, fence=known.fence + 1, operation_id=operation_id)
    if differing:
        raise EnvironmentExists(known.environment_id, differing)
    raise TransitionRefused(known.status, "ProvisionEnvironment", ("Failed", "Decommissioned"))


def is_same_request(known: RuntimeEnvironment, command: ProvisionEnvironment) -> bool:
    """Return whether *command* asks for what is active: its first result is the answer then."""
    active = known.status not in {State.FAILED, *_LEAVING}
    wanted = spec_of(command)
    return active and not differences(known, wanted, stage=command.stage, region=command.region)


def differences(
    known: RuntimeEnvironment, wanted: Spec, *, stage: str, region: str
) -> Sequence[Violation]:
    """Return one violation for each thing that *wanted* says otherwise."""
    pairs = {
        "/stage": (known.stage, stage),
        "/region": (known.region, region),
        "/isolationModel": (known.spec.isolation_model, wanted.isolation_model),
        "/computeTargets": (known.spec.compute_targets, wanted.compute_targets),
        "/dataResources": (known.spec.data_resources, wanted.data_resources),
        "/protected": (known.spec.protected, wanted.protected),
        "/tags": (dict(known.spec.tags), dict(wanted.tags)),
        "/admits": (tuple(known.spec.admits), tuple(wanted.admits)),
    }
    return [
        Violation("Differs", target, "differs from what is active", _shown(was), _shown(asked))
        for target, (was, asked) in pairs.items()
        if was != asked
    ]


def update(
    known: RuntimeEnvironment, wanted: Spec, *, operation_id: str, now: datetime
) -> RuntimeEnvironment:
    """Return *known* with *wanted* to be applied.

    Raises:
        TransitionRefused: it is not Provisioned.
    """
    began = evolve(known, UpdateBegan(), now)
    return replace(began, spec=wanted, fence=known.fence + 1, operation_id=operation_id)


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
    began = evolve(known, DecommissionBegan(), now)
    return replace(
        began,
        retain=tuple(retain),
        fence=known.fence + 1,
        operation_id=operation_id,
        drained=not known.targets,
    )


def _shown(value: object) -> str:
    return str(value)[:120]
