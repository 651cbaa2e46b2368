"""The report on a tenant that was unbound: look at what is left of it, and sign what is gone."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.erasure import Erasure, Leftover, TargetReading, erased, leftovers
from function_apps.tenants.model.kept_records import kept_records
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS
from function_apps.tenants.use_cases.live_boundary import live_boundary
from shared.contracts.tenants import ErasureStatement
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.context import Context
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Reading, Unknown
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.surfaces.observed_state import Inventory

KIND: Final = "erasure-report+json"
"""The type of the signed text."""


async def report_erasure(binding: TenantBinding, ctx: Context, app: TenantsApp) -> None:
    """Look at what is left of an unbound tenant; once that is nothing, store the signed report.

    While something is left there is none. A look without an answer is repeated for a while, and
    then stands in the report as one.
    """
    erasure = binding.erasure
    if erasure is None:
        return
    now = ctx.now()
    looks = await _looks(binding, app)
    found = leftovers(binding.tenant_id, erasure.ending, looks)
    problems = tuple(each.shown for each in found if not each.is_gone)
    is_left = any(each.is_gone is False for each in found)
    signed = None
    if not is_left and (not problems or _has_waited(erasure, now, app)):
        try:
            statement = _statement(binding, erasure, looks, found, now, app)
            signed = await app.signing_keys.sign(statement, KIND)
        except (Refused, Unavailable) as problem:
            problems = (*problems, f"it cannot be signed: {problem.message}")

    def decide(view: View) -> Decision[Json]:
        known = view.find(BINDINGS, binding.binding_id)
        if known is None or known.due_at != binding.due_at or known.erasure != erasure:
            return NOTHING
        after = replace(erasure, problems=problems)
        due_at: str | None = isoformat(now + app.rules.prove_every)
        if signed is not None:
            after, due_at = replace(erasure, problems=(), retained=(), signed=signed), None
        return Decision(
            {},
            writes=[BINDINGS.put(replace(known, erasure=after, due_at=due_at))],
            audited=Audited("ReportErasure", binding.binding_id) if signed else None,
        )

    await app.service.work.change(ctx, BINDINGS, binding.binding_id, decide)


def _has_waited(erasure: Erasure, now: datetime, app: TenantsApp) -> bool:
    return now >= parse_instant(erasure.unbound_at) + app.rules.look_for


async def _looks(binding: TenantBinding, app: TenantsApp) -> Sequence[TargetReading]:
    """Return what is live on each target that the environment had, for this tenant."""
    environment = EnvironmentId(binding.environment_id)
    looks = []
    for target in binding.compute_targets:
        reader = app.inventories.get(target.kind)
        inventory: Reading[Inventory] = Unknown(f"no {target.kind} is configured")
        if reader is not None:
            inventory = await reader.inventory(environment)
        looks.append(TargetReading(target, inventory, await live_boundary(binding, target, app)))
    return looks


def _statement(
    binding: TenantBinding,
    erasure: Erasure,
    looks: Sequence[TargetReading],
    found: Sequence[Leftover],
    now: datetime,
    app: TenantsApp,
) -> bytes:
    """Return the statement as the bytes that are signed."""
    at = isoformat(now)
    statement = ErasureStatement.model_validate(
        {
            "bindingId": binding.binding_id,
            "revision": erasure.revision,
            "tenantId": binding.tenant_id,
            "environmentId": binding.environment_id,
            "ownerTenantId": binding.owner_tenant_id,
            "stage": binding.stage,
            "isolationModel": binding.isolation_model,
            "namespace": erasure.namespace,
            "identity": erasure.identity,
            "ending": erasure.ending,
            "reason": binding.reason,
            "boundAt": binding.created_at,
            "unboundAt": erasure.unbound_at,
            "reportedAt": at,
            "erased": erased(erasure.ending, looks, found, at),
            "retained": erasure.retained,
            "kept": kept_records(app.retention),
        }
    )
    body = statement.model_dump(mode="json", by_alias=True)
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
