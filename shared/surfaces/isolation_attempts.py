"""What a process of a tenant, confined as its instances are, could reach when it tried."""

from dataclasses import dataclass

from shared.contracts.tenants import IsolationLayer


@dataclass(frozen=True)
class LayerAttempts:
    """The attempts of one layer.

    `shows_nothing` is why they show nothing: what the process must be able to do it could not, or
    this surface does not confine it. Empty: its positive control held, so they could have
    succeeded, and did not where nothing was `reached`.
    """

    layer: IsolationLayer
    shows_nothing: str = ""
    reached: tuple[str, ...] = ()
