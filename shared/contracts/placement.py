"""Where a component runs when it names no surface."""

from collections.abc import Collection, Mapping
from typing import Final

from shared.contracts.values import ComponentType, ComputeTargetKind

_AKS: Final = ComputeTargetKind.AKS
_CONTAINER_APPS: Final = ComputeTargetKind.CONTAINER_APPS
_FUNCTIONS: Final = ComputeTargetKind.FUNCTIONS
_APP_SERVICE: Final = ComputeTargetKind.APP_SERVICE

PLACEMENT: Final[Mapping[ComponentType, tuple[ComputeTargetKind, ...]]] = {
    ComponentType.GATEWAY: (_AKS, _CONTAINER_APPS),
    ComponentType.MICROSERVICE: (_AKS,),
    ComponentType.WORKER: (_CONTAINER_APPS, _FUNCTIONS),
    ComponentType.ADMIN_PORTAL: (_APP_SERVICE,),
    ComponentType.CUSTOMER_PORTAL: (_APP_SERVICE,),
    ComponentType.MOBILE_BACKEND: (_AKS, _CONTAINER_APPS),
}
"""In order of preference."""
SCHEDULED_PLACEMENT: Final = (_FUNCTIONS,)
"""Scheduled or bursty jobs, whatever their type."""


def default_placement(
    component_type: ComponentType,
    offered: Collection[ComputeTargetKind],
    *,
    scheduled: bool = False,
) -> ComputeTargetKind | None:
    """Return the surface for *component_type* among those an environment offers.

    `None`: nothing fits, so the plan refuses; a component may always name another. An environment
    with only `LocalProcess` takes everything there.
    """
    if set(offered) == {ComputeTargetKind.LOCAL_PROCESS}:
        return ComputeTargetKind.LOCAL_PROCESS
    preferred = SCHEDULED_PLACEMENT if scheduled else PLACEMENT[component_type]
    return next((kind for kind in preferred if kind in offered), None)
