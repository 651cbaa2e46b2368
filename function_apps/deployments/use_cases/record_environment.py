"""Events of environments: the target keeps the newest state; those who wait for it are woken."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from function_apps.deployments.events import alert_cleared
from function_apps.deployments.model import alerts, facts, module_queue
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    DrainClaim,
    EnvironmentProjection,
    emptied,
    without_alerts_left,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DRAIN, ROLL_OUT, TARGETS
from shared.contracts.environments import (
    DataResourceKind,
    EnvironmentFacts,
    EnvironmentStatus,
    RuntimeEnvironmentProvisioned,
)
from shared.contracts.values import ProjectId
from shared.durable.operations import (
    OPERATIONS,
    OperationInput,
    begin_operation,
    close_superseded,
)
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Invalid
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited, Raise, Row, Start
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import Put


async def record_environment(
    event: EnvironmentFacts, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record the newest state of an environment, and wake those who wait for it.

    On Decommissioning a drain begins, which takes over from an earlier one. On Decommissioned, or
    when the next generation is heard of first, nothing is in force or on its way any longer: the
    deployments that were are woken or started once more, and end by themselves.
    """
    environment_id = event.environment_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)
    if ctx.cause.project is None:
        raise Invalid(
            "an environment's event names its project in the envelope", target="projectId"
        )
    project = ProjectId(ctx.cause.project)

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        if target.environment is not None and target.environment.revision >= event.revision:
            return Decision(_alerts_left(target))
        after = replace(target, environment=_projection(event, project, target.environment))
        rows = wake_waiting(target)
        if _is_gone(event, target.environment):
            after = replace(emptied(after), facts=facts.without_past(after.facts))
            rows = [*_end_all(target, ctx), *_end_alerts(target, after, ctx)]
        writes = _close_drain(event, target, view, ids)
        if writes:
            after = replace(after, drain=None)
        if event.status is EnvironmentStatus.DECOMMISSIONING:
            after = replace(after, drain=DrainClaim(ids.operation_id, event.generation))
            operation, start = begin_drain(environment_id, ids, ctx)
            writes, rows = [*writes, OPERATIONS.put(operation)], [start, *rows]
        return Decision(
            _alerts_left(after),
            writes=[TARGETS.put(after), *writes],
            outbox=rows,
            audited=Audited("RecordEnvironment", environment_id, event.status),
        )

    def open_drain(view: View) -> Sequence[str]:
        drain = view.get(TARGETS, environment_id).drain
        return [OPERATIONS.document_id(drain.operation)] if drain else []

    outcome = await app.service.work.change(
        ctx.without_marker(), TARGETS, environment_id, decide, linked=open_drain
    )
    if outcome.value:
        await _end_alerts_left(environment_id, ctx, app)
    return outcome


def _alerts_left(target: DeploymentTarget) -> Json:
    """Return, as an answer, that alerts of what is gone are raised; empty where none is."""
    return {"alertsLeft": True} if without_alerts_left(target) != target else {}


async def _end_alerts_left(environment_id: str, ctx: Context, app: DeploymentsApp) -> None:
    """End the alerts of what is gone that one batch had no room for."""

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        after = without_alerts_left(target)
        rows = [*_end_alerts(target, after, ctx)]
        # It comes to an end: each batch leaves fewer of the modules that there are.
        return Decision(_alerts_left(after), writes=[TARGETS.put(after)], outbox=rows)

    work = app.service.work
    while (await work.change(ctx.without_marker(), TARGETS, environment_id, decide)).value:
        pass


def _is_gone(event: EnvironmentFacts, before: EnvironmentProjection | None) -> bool:
    """Return whether what *before* was is gone by *event*, in whatever order events came."""
    is_next = before is not None and event.generation > before.generation
    return is_next or event.status is EnvironmentStatus.DECOMMISSIONED


def _close_drain(
    event: EnvironmentFacts, target: DeploymentTarget, view: View, ids: NewIds
) -> list[Put]:
    """Close the drain at work when another begins, or when what it drains is gone."""
    drain = target.drain
    if drain is None:
        return []
    match event.status:
        case EnvironmentStatus.DECOMMISSIONING:
            by: str = ids.operation_id
        case EnvironmentStatus.DECOMMISSIONED:
            by = "the end of its environment"
        case _ if event.generation > drain.generation:
            by = f"generation {event.generation} of its environment"
        case _:
            return []
    return close_superseded(view, drain.operation, by, ids.now)


def _end_alerts(before: DeploymentTarget, after: DeploymentTarget, ctx: Context) -> Iterator[Row]:
    for ended in alerts.ended_alerts(before, after):
        yield alert_cleared(ended, after, ctx.tenant, ctx.now())


def begin_drain(environment_id: str, ids: NewIds, ctx: Context) -> tuple[Operation, Start]:
    """Return the operation that drains an environment, and its start."""
    resource = f"/v1/runtime/environments/{environment_id}"
    return begin_operation(DRAIN, environment_id, resource, ids, ctx)


def wake_waiting(target: DeploymentTarget) -> list[Row]:
    """Return the external events of the deployments that wait for the environment."""
    return [Raise(entry.operation, entry.wait) for entry in module_queue.waiting_entries(target)]


def _end_all(target: DeploymentTarget, ctx: Context) -> list[Row]:
    """Return what has each deployment of *target* find that its environment is gone.

    One that waits is woken, any other started once more; those left out are found by recovery.
    """
    return [
        Raise(entry.operation, entry.wait)
        if entry.wait
        else OperationInput(ctx.tenant, entry.deployment).start(ROLL_OUT, entry.operation)
        for entry in target.queue[: module_queue.OUTGOING_MAX]
    ]


def _projection(
    event: EnvironmentFacts, project: ProjectId, before: EnvironmentProjection | None
) -> EnvironmentProjection:
    is_same = before is not None and not _is_gone(event, before)
    targets, data = (before.targets, before.data) if before and is_same else ((), ())
    if isinstance(event, RuntimeEnvironmentProvisioned):
        targets = tuple(target.kind for target in event.compute_targets)
        data = tuple(
            resource.name
            for resource in event.data_resources
            if resource.kind is DataResourceKind.LOCAL_FOLDER
        )
    return EnvironmentProjection(
        revision=event.revision,
        status=event.status,
        project=project,
        stage=event.stage,
        owner=event.owner_tenant_id,
        generation=event.generation,
        targets=targets,
        data=data,
    )
