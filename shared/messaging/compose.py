"""Where services that are not yet in the new shape make envelopes; goes with the last of them."""

from pydantic import BaseModel

from shared.kernel.cause import Cause
from shared.kernel.clock import Clock
from shared.kernel.context import Context
from shared.kernel.entropy import Entropy
from shared.kernel.ids import TenantId
from shared.kernel.scope import Scope
from shared.messaging.envelope import Envelope, make_envelope


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
    ctx = Context(Scope(TenantId(tenant), cause.actor), cause, clock, entropy)
    return make_envelope(payload, ctx, project=project, module=module)
