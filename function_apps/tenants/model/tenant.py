"""A tenant as the control plane provisioned it. Pure."""

from shared.contracts.values import IsolationModel
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class ProvisionedTenant:
    """The newest that was said of a tenant; `said_at` is when."""

    tenant_id: str
    name: str
    isolation_model: IsolationModel | None
    said_at: str


def on_provisioned(
    known: ProvisionedTenant | None, said: ProvisionedTenant
) -> ProvisionedTenant | None:
    """Return *said*; None where something as new is known.

    The event has no revision, so that of two the one that was said later counts.
    """
    return said if known is None or known.said_at < said.said_at else None
