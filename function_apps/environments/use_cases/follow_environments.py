"""The timer over isolations: environments that got other targets, and those of other tenants.

Who is bound to another tenant's environment hears of its changes in this way: nothing that the
owner does names the tenants that are bound.
"""

from collections.abc import Sequence
from typing import Final

from function_apps.environments.events import environment_told
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import State
from function_apps.environments.model.tenant_isolation import (
    TenantIsolation,
    begun_again,
    with_next_told,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import (
    ISOLATE,
    ISOLATIONS,
    begin_isolation,
    environment_of,
)
from shared.contracts.environments import IsolationState
from shared.durable.operations import OPERATIONS
from shared.kernel.concurrency import bounded_map
from shared.kernel.context import Context, NewIds, timer_context
from shared.kernel.ids import TenantId
from shared.messaging.sweep import AT_ONCE, Sweep, every_due
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Document

FOLLOW: Final = "follow_environments"
"""The timer."""


async def follow_environments(app: EnvironmentsApp) -> int:
    """Look at the environment of every isolation that is in force; return how many there were.

    Without news nothing is written.
    """
    service = app.service
    sweep = Sweep(FOLLOW, ISOLATIONS.type_name, service.store, service.clock, service.sweeps)

    async def follow(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        ctx = timer_context(f"environments_{FOLLOW}", tenant, service.clock, service.entropy)
        following = follow_environment(ISOLATIONS.decode(document.body), ctx, app)
        await sweep.attempt(document, following)

    documents = await every_due(ISOLATIONS.type_name, ISOLATIONS.key, service.store, service.clock)
    await bounded_map(documents, follow, at_once=AT_ONCE)
    return len(documents)


async def follow_environment(
    isolation: TenantIsolation, ctx: Context, app: EnvironmentsApp
) -> None:
    """Isolate the tenant on targets that are new, and tell it of another one's environment."""
    environment = await environment_of(isolation, app)
    if environment is None or not (
        _has_other_targets(isolation, environment) or _is_news(isolation, environment)
    ):
        return
    ids = NewIds.draw(ctx, app.service.public_name, isolation.binding_id)

    def decide(view: View) -> Decision[Json]:
        known = view.find(ISOLATIONS, isolation.binding_id)
        if known is None or known.due_at != isolation.due_at:
            return NOTHING
        if _has_other_targets(known, environment):
            again = begun_again(known, ids.operation_id)
            return begin_isolation(again, view, ids, ctx, ISOLATE)
        if not _is_news(known, environment):
            return NOTHING
        numbered = with_next_told(known, environment.revision)
        return Decision(
            {},
            writes=[ISOLATIONS.put(numbered)],
            outbox=[environment_told(environment, numbered)],
        )

    def operation_of(_view: View) -> Sequence[str]:
        return [OPERATIONS.document_id(isolation.operation_id)]

    await app.service.work.change(
        ctx, ISOLATIONS, isolation.binding_id, decide, linked=operation_of
    )


def _has_other_targets(known: TenantIsolation, environment: RuntimeEnvironment) -> bool:
    kinds = tuple(target.kind for target in environment.targets)
    is_to_be_made = known.state is IsolationState.APPLIED or known.is_retried
    return is_to_be_made and environment.status is State.PROVISIONED and kinds != known.targets


def _is_news(known: TenantIsolation, environment: RuntimeEnvironment) -> bool:
    """Return whether the tenant of *known* has not heard of the *environment* as it is."""
    return known.is_foreign and environment.revision != known.owner_revision
