"""The timer over bindings: look at what isolates each tenant, or at what is left of one.

Where a surface can, a process that is confined as the tenant's tries what it must not reach. The
timer publishes what looks and attempts show. Of a tenant that was unbound it reports what is left.
It also takes the next step of a move that waits.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from function_apps.tenants.events import alert_event, isolation_proved
from function_apps.tenants.model.binding import PROVED, TenantBinding
from function_apps.tenants.model.proofs import (
    LayerProof,
    full_quotas,
    judge,
    proof_results,
    without_alerts,
)
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, ENVIRONMENTS
from function_apps.tenants.use_cases.advance_move import advance_move
from function_apps.tenants.use_cases.live_boundary import isolation_attempts, live_boundaries
from function_apps.tenants.use_cases.report_erasure import report_erasure
from shared.contracts.tenants import AdvanceMove, TenantBindingStatus
from shared.kernel.clock import isoformat
from shared.kernel.context import Context, timer_context
from shared.kernel.ids import TenantId
from shared.messaging.outbox import Audited, Publish
from shared.messaging.sweep import Sweep
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Document

PROVE: Final = "prove_isolation"
"""The timer."""


async def prove_isolation(app: TenantsApp) -> int:
    """Look at what isolates every tenant whose time has come; return how many there were.

    Of one that was unbound it is looked at what is left.
    """
    service = app.service
    sweep = Sweep(PROVE, BINDINGS.type_name, service.store, service.clock, service.sweeps)

    async def prove(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        ctx = timer_context(f"tenants_{PROVE}", tenant, service.clock, service.entropy)
        binding = BINDINGS.decode(document.body)
        if binding.status is TenantBindingStatus.UNBOUND:
            await _end_alerts(binding, ctx, app)
            await report_erasure(binding, ctx, app)
            return
        await prove_binding(binding, ctx, app)
        if binding.move is not None:
            await advance_move(AdvanceMove(binding_id=binding.binding_id), ctx, app)

    return await sweep.run(prove)


async def prove_binding(binding: TenantBinding, ctx: Context, app: TenantsApp) -> None:
    """Look at the boundaries of one tenant, and tell of each layer whose verdict is another.

    Nothing is proved of an environment that is being taken down: its boundaries go with it.
    """
    looks = await live_boundaries(binding, app)
    attempts = await isolation_attempts(binding, app)
    identity = binding.environment_id

    def decide(view: View) -> Decision[Json]:
        known = view.find(BINDINGS, binding.binding_id)
        if known is None or known.due_at != binding.due_at or known.status not in PROVED:
            return NOTHING
        now = ctx.now()
        proofs, news = judge(known.proofs, proof_results(looks, known.quota, attempts), now)
        environment = view.find(ENVIRONMENTS, identity)
        if environment is not None and environment.is_leaving:
            proofs, news = known.proofs, ()
        after = replace(
            known,
            proofs=proofs,
            full_quotas=full_quotas(looks, known.quota, known.full_quotas),
            due_at=isoformat(now + app.rules.prove_every),
        )
        told = ", ".join(f"{each.layer} {each.verdict}" for each in news)
        return Decision(
            {},
            writes=[BINDINGS.put(after)],
            outbox=[isolation_proved(after, proof) for proof in news] + _alerts(known, after, news),
            audited=Audited("ProveIsolation", binding.binding_id, told) if news else None,
        )

    await app.service.work.change(
        ctx, BINDINGS, binding.binding_id, decide, also=[ENVIRONMENTS.document_id(identity)]
    )


async def _end_alerts(binding: TenantBinding, ctx: Context, app: TenantsApp) -> None:
    """End the alerts of a binding that was unbound: no look finds any of its layers any more."""
    if not any(each.raised_at for each in binding.proofs):
        return

    def decide(view: View) -> Decision[Json]:
        known = view.find(BINDINGS, binding.binding_id)
        if known is None or known.status is not TenantBindingStatus.UNBOUND:
            return NOTHING
        after = replace(known, proofs=without_alerts(known.proofs, ctx.now()))
        changed = [each for each in after.proofs if each not in known.proofs]
        if not changed:
            return NOTHING
        return Decision(
            {},
            writes=[BINDINGS.put(after)],
            outbox=_alerts(known, after, changed),
            audited=Audited("EndAlerts", binding.binding_id),
        )

    await app.service.work.change(ctx, BINDINGS, binding.binding_id, decide)


def _alerts(
    known: TenantBinding, after: TenantBinding, news: Sequence[LayerProof]
) -> list[Publish]:
    """Return the event of each alert that *news* raise or end."""
    before = {each.layer: each.raised_at for each in known.proofs}
    changed = [each for each in news if bool(before.get(each.layer)) != bool(each.raised_at)]
    return [
        alert_event(after, each.raised_at or before[each.layer] or each.checked_at, each)
        for each in changed
    ]
