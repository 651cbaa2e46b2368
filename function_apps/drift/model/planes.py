"""The words of a surface and of a release about a service, by the planes of the contract."""

from collections.abc import Mapping
from typing import Final

from shared.contracts.drift import Plane
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import EnvironmentId, TenantId
from shared.surfaces.properties import Plane as SurfacePlane
from shared.surfaces.properties import Properties, revision_properties
from shared.surfaces.released_component import revision_spec

Planes = Mapping[Plane, Mapping[str, str]]
_PLANES: Final = {plane: Plane(plane.value) for plane in SurfacePlane}
_NUMBERS_OF_THE_PLATFORM: Final = ("drainS", "graceS")
"""They follow the platform's rules, which another version may have changed; no unit records them.
"""


def released_planes(
    component: ReleasedComponent, environment_id: EnvironmentId, tenant_id: TenantId
) -> Planes:
    """Return what the release of *component* asks for."""
    # Who pauses traffic on purpose writes it down as a release, so the recorded weight holds.
    weight = component.routing.weights.get(str(component.release_revision), 0)
    spec = revision_spec(component, environment_id, tenant_id, RolloutDefaults())
    return as_planes(revision_properties(spec, weight=weight))


def as_planes(properties: Properties) -> dict[Plane, Mapping[str, str]]:
    """Return *properties* by the planes of the contract, without numbers of the platform."""
    planes = {_PLANES[plane]: words for plane, words in properties.items()}
    if Plane.WORKLOAD in planes:
        planes[Plane.WORKLOAD] = {
            path: word
            for path, word in planes[Plane.WORKLOAD].items()
            if path not in _NUMBERS_OF_THE_PLATFORM
        }
    return planes
