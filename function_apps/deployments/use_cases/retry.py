"""Retry: begin a Failed deployment anew, or have a paused step judged again."""

from dataclasses import replace

from function_apps.deployments import repository
from function_apps.deployments.errors import NotRetryable
from function_apps.deployments.model import module_queue, release_unit
from function_apps.deployments.model.deployment import command_of, evolve
from function_apps.deployments.model.lifecycle import AnalysisRestarted, Retried
from function_apps.deployments.model.promotion import require_fresh_evidence
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.resources import answer
from function_apps.deployments.use_cases.deploy import enqueue
from shared.contracts.deployments import DeploymentReason, DeploymentStatus
from shared.kernel.context import Context, NewIds
from shared.messaging.outbox import Audited, Raise
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def retry(
    deployment: str, command: DeploymentReason, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Begin a Failed deployment anew, or have the step judged again at which one is paused.

    Raises:
        NotRetryable: it is in another state.
        Held, EnvironmentNotUsable, BindingRequired: as for a new one.
    """
    ids = NewIds.draw(ctx, app.service.public_name, deployment)

    def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, deployment)
        if known.deployment.paused_at is not None:
            return _audited(_restart_analysis(known, ctx), deployment, command)
        if known.deployment.status is not DeploymentStatus.FAILED:
            raise NotRetryable(
                f"{deployment} is {known.deployment.status}; Failed and paused deployments can be"
                " retried"
            )
        return _audited(_begin_anew(known, ids, ctx, app), deployment, command)

    return await repository.change(deployment, ctx, app, decide)


def _audited(
    decision: Decision[Json], deployment: str, command: DeploymentReason
) -> Decision[Json]:
    audited = Audited(repository.RETRY.name, deployment, command.reason or "Accepted")
    return replace(decision, audited=audited)


def _restart_analysis(known: DeploymentSet, ctx: Context) -> Decision[Json]:
    before = known.deployment
    again = evolve(before, AnalysisRestarted(), ctx.now())
    return Decision(
        answer(again, known.target),
        writes=[repository.DEPLOYMENTS.put(again)],
        outbox=[Raise(before.operation_id, before.wait_name)] if before.wait_name else [],
    )


def _begin_anew(
    known: DeploymentSet, ids: NewIds, ctx: Context, app: DeploymentsApp
) -> Decision[Json]:
    before, target = known.deployment, known.target
    if before.evidence is not None:
        require_fresh_evidence(before.evidence, app.rules.soak, ids.now)
    if any(entry.key == before.key for entry in target.queue):
        raise NotRetryable(f"the same versions as in {before.deployment_id} are on their way")
    content = module_queue.keys_of(command_of(before)).content
    again = evolve(before, Retried(ids.operation_id), ids.now)
    units = release_unit.planned(before.components, ctx.tenant, target)
    return enqueue(again, units, content, ids, target, ctx, kind=repository.RETRY)
