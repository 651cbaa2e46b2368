"""Where a component runs when it names no surface."""

from collections.abc import Collection, Mapping
from typing import Final

from shared.contracts.values import ComponentType
from shared.contracts.values import ComputeTargetKind as Target

PLACEMENT: Final[Mapping[ComponentType, tuple[Target, ...]]] = {
    ComponentType.GATEWAY: (Target.AKS, Target.CONTAINER_APPS),
    ComponentType.MICROSERVICE: (Target.AKS,),
    ComponentType.WORKER: (Target.CONTAINER_APPS, Target.FUNCTIONS),
    ComponentType.ADMIN_PORTAL: (Target.APP_SERVICE,),
    ComponentType.CUSTOMER_PORTAL: (Target.APP_SERVICE,),
    ComponentType.MOBILE_BACKEND: (Target.AKS, Target.CONTAINER_APPS),
}
"""In order of preference."""
SCHEDULED_PLACEMENT: Final = (Target.FUNCTIONS,)
"""Scheduled or bursty jobs, whatever their type."""


def default_placement(
    component_type: ComponentType,
    offered: Collection[Target],
    *,
    scheduled: bool = False,
    is_archive: bool = False,
) -> Target | None:
    """Return the surface for *component_type* among those an environment offers.

    `None`: nothing fits, so the plan refuses; a component may always name another. An environment
    with only `LocalProcess` takes everything there, and one that has it too takes archives there,
    which run nowhere else; so a release that is promoted is placed as it was.
    """
    is_only = set(offered) == {Target.LOCAL_PROCESS}
    if is_only or (is_archive and Target.LOCAL_PROCESS in offered):
        return Target.LOCAL_PROCESS
    preferred = SCHEDULED_PLACEMENT if scheduled else PLACEMENT[component_type]
    return next((kind for kind in preferred if kind in offered), None)
