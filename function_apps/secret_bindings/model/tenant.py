"""The tenant's own binding to an environment, as far as secrets depend on it. Pure."""

from function_apps.secret_bindings.errors import TenantSuspended
from shared.contracts.tenants import TenantBindingStatus
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class TenantProjection:
    """The newest event of the binding; `identity` is what instances show to vaults."""

    environment_id: str
    revision: int
    status: TenantBindingStatus
    identity: str | None


def on_tenant_event(
    known: TenantProjection | None, event: TenantProjection
) -> TenantProjection | None:
    """Return *event*; None when one as new is known."""
    return event if known is None or known.revision < event.revision else None


def require_not_suspended(known: TenantProjection | None, *, is_foreign: bool) -> None:
    """Refuse what gives a suspended tenant anything more, here or in another tenant's environment.

    Raises TenantSuspended.
    """
    if known is not None and known.status is TenantBindingStatus.SUSPENDED:
        raise TenantSuspended(known.environment_id, is_foreign=is_foreign)
