"""The environments that tenants may be bound to. Pure."""

from dataclasses import dataclass, replace

from shared.contracts.environments import BindingIsolation, ComputeTarget, EnvironmentStatus
from shared.contracts.values import IsolationModel, Stage


@dataclass(frozen=True)
class EnvironmentProjection:
    """The newest event of an environment; a decommissioned one stays, closed.

    `admits` is known to the owner's own projection only.
    """

    environment_id: str
    revision: int
    is_open: bool
    owner: str
    stage: Stage
    region: str
    isolation_model: IsolationModel
    compute_targets: tuple[ComputeTarget, ...] = ()
    admits: tuple[str, ...] = ()
    isolation: tuple[BindingIsolation, ...] = ()
    is_leaving: bool = False
    """It is being taken down, and with it what isolates its tenants."""
    retained: tuple[str, ...] = ()
    """URNs of the resources that its decommissioning left; told to the owner only."""

    def admitted(self, tenant: str) -> bool:
        """Return whether *tenant* may be bound to it."""
        return self.is_open and (tenant == self.owner or tenant in self.admits)

    def isolation_of(self, binding_id: str) -> BindingIsolation | None:
        """Return how far the isolation of a binding is; None while nothing was heard of it."""
        return next((each for each in self.isolation if each.binding_id == binding_id), None)


def on_environment_event(
    known: EnvironmentProjection | None, event: EnvironmentProjection
) -> EnvironmentProjection | None:
    """Return *event*; None when one as new is known."""
    return event if known is None or known.revision < event.revision else None


def on_status(
    known: EnvironmentProjection | None, revision: int, status: EnvironmentStatus
) -> EnvironmentProjection | None:
    """Return *known* in another *status*; None when one as new is known, or none yet."""
    if known is None or known.revision >= revision:
        return None
    is_leaving = status in {
        EnvironmentStatus.DECOMMISSIONING,
        EnvironmentStatus.DECOMMISSION_FAILED,
    }
    return replace(known, revision=revision, is_leaving=is_leaving)
