"""Makes envelopes: every event and command a service sends is made here, from its cause."""

from pydantic import BaseModel

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import event_id
from shared.messaging.cause import Cause
from shared.messaging.envelope import Envelope


def envelope_of(
    payload: BaseModel,
    *,
    tenant: str,
    cause: Cause,
    clock: Clock,
    entropy: Entropy,
    project: str | None = None,
    module: str | None = None,
) -> Envelope:
    """Return *payload* in an envelope; the payload type's name is the message's type."""
    return Envelope(
        event_id=event_id(entropy),
        event_type=type(payload).__name__,
        tenant_id=tenant,
        project_id=project,
        module_id=module,
        trace_id=cause.trace_id,
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        occurred_at=clock.now(),
        payload=payload.model_dump(mode="json", by_alias=True),
    )
