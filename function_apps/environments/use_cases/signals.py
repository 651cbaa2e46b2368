"""What other services tell an environment: deployments, that nothing runs in it any more."""

from dataclasses import replace

from function_apps.environments.model import documents
from function_apps.environments.model.states import State
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import partition_of
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.kernel.ids import parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.outbox import Raise
from shared.messaging.unit_of_work import Audited, Decision, Outcome, Put, View


async def note_environment_drained(
    event: RuntimeEnvironmentDrained, *, scope: Scope, cause: Cause, app: EnvironmentsApp
) -> Outcome:
    """Remember that no workload is left, and wake the decommissioning that waits for it."""
    key = parse_id(event.environment_id, "env").environment
    document_id = documents.document_id(event.environment_id)

    def decide(view: View) -> Decision:
        body = view.body(document_id)
        known = documents.from_body(body) if body is not None else None
        waits = known is not None and known.status is State.DECOMMISSIONING
        if known is None or not waits or known.drained or event.generation != known.generation:
            return Decision()
        drained = replace(known, drained=True, revision=known.revision + 1)
        return Decision(
            writes=[Put(document_id, documents.to_body(drained))],
            outbox=[Raise(known.operation_id, drained_name(known.operation_id))],
            audited=Audited("NoteEnvironmentDrained", known.environment_id),
        )

    return await app.service.work.write(
        scope, partition_of(scope, key), [document_id], decide, cause
    )


def drained_name(operation: str) -> str:
    """Return the name of the nudge that a decommissioning waits for, unique to its operation."""
    return f"drained-{operation}"
