"""What a tenant could reach or have when it was tried, from inside or by asking for it."""

from collections.abc import Mapping
from typing import Final

from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.values import ComputeTargetKind
from shared.kernel.dataclass import dataclass

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
"""The layers that are tried, whatever a tenant asked for."""
_IN_DRY_RUNS: Final = frozenset({IsolationLayer.COMPUTE, IsolationLayer.QUOTA})
"""Of a cluster: nothing is inside, its API server is asked for pods."""


def how_tried(target: ComputeTargetKind, layer: IsolationLayer) -> str:
    """Return the words for how *target* tries *layer*."""
    is_asked = target is ComputeTargetKind.AKS and layer in _IN_DRY_RUNS
    return "in dry runs" if is_asked else "from inside"


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
