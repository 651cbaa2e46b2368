"""What a process of a tenant, confined as its instances are, could reach when it tried."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.contracts.tenants import IsolationLayer, Quota
from shared.contracts.values import ComputeTargetKind

TEXT_MAX: Final = 300
"""Of what a process says, in the reason or evidence of an attempt."""
TRIED: Final[Mapping[ComputeTargetKind, tuple[IsolationLayer, ...]]] = {
    ComputeTargetKind.LOCAL_PROCESS: (
        IsolationLayer.COMPUTE, IsolationLayer.DATA, IsolationLayer.SECRETS,
        IsolationLayer.IDENTITY, IsolationLayer.QUOTA,
    ),
    ComputeTargetKind.AKS: (
        IsolationLayer.COMPUTE, IsolationLayer.NETWORK, IsolationLayer.IDENTITY,
        IsolationLayer.QUOTA,
    ),
}  # fmt: skip
"""The layers that are tried from inside, whatever a tenant asked for."""


def tries_quota(target: ComputeTargetKind, quota: Quota) -> bool:
    """Return whether *target* tries *quota*: where one instance alone can ask for more than it.

    A machine holds no process to a share of its processors.
    """
    is_of_cpu = quota.cpu is not None and target is ComputeTargetKind.AKS
    return is_of_cpu or quota.memory_mib is not None


def said_by(output: str) -> str:
    """Return the end of what a process said that ended without an answer."""
    return output.strip()[-TEXT_MAX:] or "it said nothing"


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
