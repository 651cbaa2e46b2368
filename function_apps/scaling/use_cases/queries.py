"""Reads of scaling: a policy, its decisions, and what another one would have done."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from function_apps.scaling.errors import PolicyNotFound
from function_apps.scaling.model import replay
from function_apps.scaling.model.sample import sample_of
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import (
    POLICIES,
    SERVICES,
    known_policy,
    load_view,
    sample_partition,
)
from function_apps.scaling.resources import decision_resource, policy_resource
from function_apps.scaling.use_cases.apply_scaling_policy import require_valid
from function_apps.scaling.use_cases.evaluate_policies import may_be_none
from shared.contracts.scaling import ScalingDecision, ScalingPolicy
from shared.contracts.scaling_what_if import WHAT_IF_STEPS_MAX, WhatIf, WhatIfResult
from shared.contracts.values import Resources
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import thread_to_its_end
from shared.kernel.context import Context
from shared.kernel.errors import Unavailable
from shared.persistence.row_pages import newest_page
from shared.persistence.tables import TableRow, readable_rows
from shared.surfaces.port import configured_surface

_PAGE: Final = 1000
_RETRY_S: Final = 10.0


async def get_policy(policy_id: str, ctx: Context, app: ScalingApp) -> tuple[ScalingPolicy, str]:
    """Return a policy with its etag. Raises PolicyNotFound."""
    ids, view = await load_view(policy_id, ctx, app)
    policy = known_policy(view, ids)
    return policy_resource(policy), POLICIES.etag(
        view.documents[POLICIES.document_id(ids.service_id)]
    )


async def get_decisions(
    policy_id: str, ctx: Context, app: ScalingApp, *, limit: int, continuation: str | None
) -> tuple[Sequence[ScalingDecision], str | None]:
    """Return one page of decisions, newest first, and the continuation of the next.

    Those of a policy that has ended, too: they are kept as long as others.

    Raises:
        PolicyNotFound: there was none.
        Invalid: the continuation is none of this list.
    """
    ids, view = await load_view(policy_id, ctx, app)
    if view.find(POLICIES, ids.service_id) is None:
        raise PolicyNotFound(ids.policy_id)
    partition = sample_partition(ctx.tenant, ids.policy_id)
    page = await newest_page(app.samples, partition, limit=limit, continuation=continuation)
    value = readable_rows(page.rows, lambda row: decision_resource(sample_of(row)))
    return value, page.continuation


async def answer_what_if(
    policy_id: str, asked: WhatIf, ctx: Context, app: ScalingApp
) -> WhatIfResult:
    """Return what the proposed policy would have done with the recorded load.

    Raises:
        PolicyNotFound.
        PolicyInvalid: the proposed policy could not be applied.
        Unavailable: too many others are computed.
    """
    ids, view = await load_view(policy_id, ctx, app)
    known_policy(view, ids)
    service = view.find(SERVICES, ids.service_id)
    require_valid(asked.policy, service, app)
    is_known = service is not None and service.is_released
    can_be_none = False
    if service and is_known:
        surface = configured_surface(app.surfaces, service.compute_target)
        can_be_none = may_be_none(service, surface)
    resources = service.resources if service else Resources()
    async with _turn(ctx, app):
        rows = await _rows(sample_partition(ctx.tenant, ids.policy_id), asked, app)
        samples = readable_rows(rows[:WHAT_IF_STEPS_MAX], sample_of)

        def played() -> WhatIfResult:
            return replay.replay(
                asked.policy,
                replay.recorded(samples),
                resources,
                app.rules.scaling,
                may_be_none=can_be_none,
                is_whole=len(samples) == len(rows),
            )

        return await thread_to_its_end(played)


@asynccontextmanager
async def _turn(ctx: Context, app: ScalingApp) -> AsyncIterator[None]:
    """Hold one of the few turns of replays, which compute half a second each.

    Raises:
        Unavailable: too many others wait for theirs.
    """
    async with AsyncExitStack() as held:
        try:
            async with asyncio.timeout(app.rules.replay_waits_at_most.total_seconds()):
                await held.enter_async_context(app.replays.turn(ctx.tenant))
        except TimeoutError as late:
            raise Unavailable(
                "too many what-ifs are being computed: ask again later", retry_after_s=_RETRY_S
            ) from late
        yield


async def _rows(partition_key: str, asked: WhatIf, app: ScalingApp) -> Sequence[TableRow]:
    """Return what was recorded in the time that is asked for; one more than a replay takes."""
    found: list[TableRow] = []
    after, before = isoformat(asked.from_at), isoformat(asked.until_at)
    while len(found) <= WHAT_IF_STEPS_MAX:
        rows = await app.samples.scan(partition_key, after=after, before=before, limit=_PAGE)
        found += rows
        if len(rows) < _PAGE:
            break
        after = rows[-1].row_key
    return found[: WHAT_IF_STEPS_MAX + 1]
