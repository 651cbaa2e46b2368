"""HealthCheckCompleted: the verdict of one gate of one step."""

from dataclasses import replace

from function_apps.deployments.model import analysis
from function_apps.deployments.model.deployment import evolve
from function_apps.deployments.model.lifecycle import EvidenceRecorded
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.health import HealthCheckCompleted
from shared.kernel.context import Context
from shared.kernel.errors import Invalid
from shared.messaging.outbox import Audited, Raise
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_gate_evidence(
    event: HealthCheckCompleted, ctx: Context, app: DeploymentsApp
) -> Outcome[Json] | None:
    """Record the evidence of a gate; wake the rollout when all are in or one has failed.

    An event without a gate is dropped before anything is read. Safe to repeat: evidence of a gate
    is recorded once, and the gate shows it.
    """
    if event.gate_id is None:
        return None
    if event.evidence is None or event.verdict is None:
        raise Invalid(f"gate {event.gate_id} was answered without evidence", target="/evidence")
    gate, evidence = event.gate_id, event.evidence
    if (evidence.gate_id, evidence.verdict) != (gate, event.verdict):
        raise Invalid(
            f"gate {gate} was answered {event.verdict} with evidence of {evidence.gate_id}, "
            f"{evidence.verdict}: expected evidence of that gate and verdict",
            target="/evidence",
        )
    deployment_id = analysis.deployment_of(gate)

    def decide(view: View) -> Decision[Json]:
        deployment = view.find(DEPLOYMENTS, deployment_id)
        if deployment is None:
            return NOTHING
        step = analysis.step_of(deployment, gate)
        # A gate of an earlier attempt or of a step that is over, or a repeat: nobody waits for it.
        if step is None or deployment.status is not DeploymentStatus.HEALTH_GATING:
            return NOTHING
        judged = replace(step, evidence=(*step.evidence, evidence))
        after = evolve(deployment, EvidenceRecorded(judged), ctx.now())
        is_decided = step.verdict is None and analysis.verdict_of(judged, ctx.now()) is not None
        wakes = is_decided and after.wait_name
        return Decision(
            {},
            writes=[DEPLOYMENTS.put(after)],
            outbox=[Raise(after.operation_id, after.wait_name)] if wakes else [],
            audited=Audited("RecordGateEvidence", deployment_id, evidence.verdict),
        )

    return await app.service.work.change(ctx.without_marker(), DEPLOYMENTS, deployment_id, decide)
