"""The environments that tenants may be bound to. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.contracts.environments import BindingIsolation, ComputeTarget, EnvironmentStatus
from shared.contracts.values import IsolationModel, Stage
from shared.kernel.dataclass import dataclass

REMEMBERED_MAX: Final = 1_000
"""Of the tenants that an environment admits no longer; five times as many as it may admit."""


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
    generation: int = 0
    """Grows when the environment is requested again after its end.

    That is so in the projection of its owner. In that of a guest it counts how often the guest was
    bound to the environment again after it had been unbound.
    """
    admitted_before: tuple[str, ...] = ()
    """Whom `admits` listed once and does no longer, the last first: some may be bound still."""

    @property
    def who_may_be_bound(self) -> Sequence[str]:
        """Return the tenants of which a binding to it may be there, in the order of their names."""
        return sorted({self.owner, *self.admits, *self.admitted_before})

    def admitted(self, tenant: str) -> bool:
        """Return whether *tenant* may be bound to it."""
        return self.is_open and (tenant == self.owner or tenant in self.admits)

    def isolation_of(self, binding_id: str) -> BindingIsolation | None:
        """Return how far the isolation of a binding is; None while nothing was heard of it."""
        return next((each for each in self.isolation if each.binding_id == binding_id), None)


def on_environment_event(
    known: EnvironmentProjection | None, event: EnvironmentProjection
) -> EnvironmentProjection | None:
    """Return *event*, with whom the environment admitted before; None when one as new is known."""
    if known is None:
        return event
    if known.revision >= event.revision:
        return None
    once = dict.fromkeys([*known.admits, *known.admitted_before])
    before = [tenant for tenant in once if tenant not in event.admits]
    return replace(event, admitted_before=tuple(before[:REMEMBERED_MAX]))


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
