"""Suspensions of a bound tenant: by whom, and who may end them. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.tenants.errors import SuspendedByAnother
from function_apps.tenants.model.binding import (
    State,
    Suspender,
    TenantBinding,
    TenantResumed,
    TenantSuspended,
    evolve,
)
from function_apps.tenants.model.move import TAKEN_BACKS
from shared.contracts.values import Reason

SUSPEND: Final = "SuspendedByCaller"
"""The code of the reason that a caller gave."""


def suspend(
    known: TenantBinding, reason: Reason, suspender: Suspender, now: datetime, *, is_admin: bool
) -> TenantBinding:
    """Return *known* Suspended by *suspender*; itself where that one, or a higher one, has done so.

    Why a move of it was taken back is remembered, and shown again once it is resumed.

    Whoever could resume it takes it over: or a guest that suspended itself first would resume
    itself after the environment's owner has suspended it.

    Raises:
        TransitionRefused: it is neither Enforced nor Suspended.
    """
    by = known.suspended_by
    if known.status is State.SUSPENDED and (
        by == suspender or not _may_resume(known, suspender, is_admin=is_admin)
    ):
        return known
    is_back = known.reason is not None and known.reason.code in TAKEN_BACKS
    return replace(
        evolve(known, TenantSuspended, now, reason),
        suspended_by=suspender,
        taken_back=known.reason if is_back else known.taken_back,
    )


def resume(
    known: TenantBinding, caller: Suspender, now: datetime, *, is_admin: bool
) -> TenantBinding:
    """Return *known* Enforced again; itself where it is.

    Raises:
        SuspendedByAnother: *caller* may not resume it.
        TransitionRefused: it is not Suspended.
    """
    if known.status is State.ENFORCED:
        return known
    require_resumable(known, caller, is_admin=is_admin)
    resumed = evolve(known, TenantResumed, now, known.taken_back)
    return replace(resumed, suspended_by=None, taken_back=None)


def require_resumable(known: TenantBinding, caller: Suspender, *, is_admin: bool) -> None:
    """Refuse to let a suspended tenant change the environment again.

    Raises:
        SuspendedByAnother: *caller* neither suspended it, nor is an administrator of the tenant
            that did, or of the environment's owner.
    """
    by = known.suspended_by
    if by is not None and not _may_resume(known, caller, is_admin=is_admin):
        raise SuspendedByAnother(known.binding_id, by.tenant_id, known.owner_tenant_id)


def _may_resume(known: TenantBinding, caller: Suspender, *, is_admin: bool) -> bool:
    by = known.suspended_by
    if by is None or by == caller:
        return True
    return is_admin and caller.tenant_id in {by.tenant_id, known.owner_tenant_id}
