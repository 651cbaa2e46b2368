"""Messages that were refused: kept with the reason until somebody replays them, for 30 days.

A later replay could bring back what has ended: its tombstone may be gone by then.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.contracts.retention import Kept
from shared.kernel.clock import isoformat
from shared.kernel.context import Context, Scope
from shared.kernel.errors import Refused
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Remove, UnitOfWork, View
from shared.persistence.codec import Put
from shared.persistence.store import Partition

PLATFORM_TENANT: Final = "-platform"
"""The tenant of parked messages that name no tenant of their own."""


def parked_id(event: str) -> str:
    return f"parked/{event}"


def parked_partition(scope: Scope) -> Partition:
    """Return where a tenant's parked messages are: one place, whatever they were about."""
    return Partition(scope.tenant, "-", "-")


async def is_parked(event: str, ctx: Context, work: UnitOfWork) -> bool:
    """Return whether the message *event* was parked: it is done then, until it is replayed."""
    document_id = parked_id(event)
    view = await work.read(parked_partition(ctx.scope), document_id)
    return view.body(document_id) is not None


async def park(
    event: str, content: Mapping[str, Any], refusal: Refused, ctx: Context, work: UnitOfWork
) -> None:
    """Keep the *content* of the message *event* with the reason of *refusal*, if it is not kept."""
    document_id = parked_id(event)

    def decide(view: View) -> Decision[Json]:
        if view.body(document_id) is not None:
            return NOTHING
        parked = {
            **content,
            **_reason(refusal),
            "type": "parked",
            "parkedAt": isoformat(ctx.now()),
            "attempts": 1,
        }
        audited = Audited("ParkMessage", document_id, refusal.code)
        return Decision({}, writes=[Put(document_id, parked, Kept.MESSAGE)], audited=audited)

    # The parked document is the marker: an inbox row would make a replay look like a repeat.
    await work.commit(ctx.without_marker(), parked_partition(ctx.scope), [document_id], decide)


async def settle_replay(
    event: str, refusal: Refused | None, ctx: Context, work: UnitOfWork
) -> None:
    """Remove the parked message *event*, or keep it with the reason of this *refusal*."""
    document_id = parked_id(event)

    def decide(view: View) -> Decision[Json]:
        body = view.body(document_id)
        if body is None:
            return NOTHING
        if refusal is None:
            audited = Audited("ReplayMessage", document_id)
            return Decision({}, writes=[Remove(document_id)], audited=audited)
        kept = {**body, **_reason(refusal), "attempts": body["attempts"] + 1}
        audited = Audited("ReplayMessage", document_id, refusal.code)
        return Decision({}, writes=[Put(document_id, kept, Kept.MESSAGE)], audited=audited)

    await work.commit(ctx, parked_partition(ctx.scope), [document_id], decide)


def _reason(refusal: Refused) -> Mapping[str, Any]:
    return {
        "code": refusal.code,
        "reason": refusal.message,
        "details": [vars(detail) for detail in refusal.details],
    }
