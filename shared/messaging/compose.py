"""Makes envelopes: every event and command a service sends is made here, from its cause."""

import json

from pydantic import BaseModel

from shared.contracts.values import EVENT_BYTES_MAX
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import TooLarge
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
    """Return *payload* in an envelope; the payload type's name is the message's type.

    Raises:
        TooLarge: over 192 KB. Lists that may grow longer go into a blob named by digest.
    """
    body = payload.model_dump_json(by_alias=True).encode()
    if len(body) > EVENT_BYTES_MAX:
        raise TooLarge(
            f"{type(payload).__name__} has {len(body)} bytes; a message has at most"
            f" {EVENT_BYTES_MAX}"
        )
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
        payload=json.loads(body),
    )
