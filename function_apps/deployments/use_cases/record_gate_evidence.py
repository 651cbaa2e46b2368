"""What comes back from health: the verdict of one gate of one step."""

from dataclasses import replace
from datetime import datetime

from function_apps.deployments.model import deployment as deployments
from function_apps.deployments.model import gates
from function_apps.deployments.model.deployment import Deployment, evolve, with_step
from function_apps.deployments.model.states import Change
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import place, unmarked, writes
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.health import HealthCheckCompleted
from shared.kernel.errors import Invalid
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, Outcome, View
from shared.messaging.outbox import Raise, Row


async def note_health(
    event: HealthCheckCompleted, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome | None:
    """Record the evidence of a gate; wake the rollout when all are in or one has failed.

    An event without a gate is dropped before anything is read. Safe to repeat: evidence of a gate
    is recorded once, and the gate shows it.
    """
    if event.gate_id is None:
        return None
    if event.evidence is None or event.verdict is None:
        raise Invalid(f"gate {event.gate_id} was answered without evidence", target="/evidence")
    gate, evidence = event.gate_id, event.evidence
    deployment = gates.deployment_of(gate)
    now = app.service.clock.now()

    def decide(view: View) -> Decision:
        body = view.body(deployment)
        if body is None:
            return NOTHING
        found = deployments.from_body(body)
        step = next((one for one in found.steps if gate in one.gates), None)
        is_known = step is not None and any(one.gate_id == gate for one in step.evidence)
        # A gate of an earlier attempt, of a step that is over, or told twice: nobody waits for it.
        if step is None or is_known or found.status is not DeploymentStatus.HEALTH_GATING:
            return NOTHING
        told = replace(step, evidence=(*step.evidence, evidence))
        after = evolve(found, Change.EVIDENCE_CAME, now, steps=with_step(found, told))
        return Decision(
            writes=writes(deployment=after),
            outbox=_nudge(after, told, now),
            audited=Audited("NoteGateEvidence", deployment, evidence.verdict),
        )

    return await app.service.work.write(
        scope, place(deployment, scope), [deployment], decide, unmarked(cause)
    )


def _nudge(after: Deployment, step: deployments.TrafficShift, now: datetime) -> list[Row]:
    is_settled = step.verdict is None and gates.verdict_of(step, now) is not None
    if not is_settled or not after.wait_name:
        return []
    return [Raise(after.operation_id, after.wait_name)]
