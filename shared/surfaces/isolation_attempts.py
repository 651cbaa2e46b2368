"""What a process of a tenant, confined as its instances are, could reach when it tried."""

from dataclasses import dataclass

from shared.contracts.tenants import IsolationLayer


@dataclass(frozen=True)
class LayerAttempts:
    """The attempts of one layer.

    `inconclusive_because` is why they show nothing: the process could not do what it must be able
    to do, or this surface does not confine it. Empty: the positive control held, so the attempts
    could have succeeded, and failed where nothing was `reached`.
    """

    layer: IsolationLayer
    inconclusive_because: str = ""
    reached: tuple[str, ...] = ()
