"""Read one service from its surface: Present with all that is compared, or Unknown."""

from collections.abc import Mapping

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.live_service import LiveService, ServiceReading
from function_apps.drift.model.planes import as_planes
from function_apps.drift.ports import DriftApp
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.observed_state import LiveComponent, LiveProof, Phase
from shared.surfaces.properties import Properties
from shared.surfaces.spec import SurfaceComponent


async def read_service(
    baseline: ServiceBaseline, app: DriftApp
) -> Present[ServiceReading] | Unknown:
    """Return what the service is on its surface.

    The fence is read last: a write of the platform's that changed what was read before shows there.
    """
    component = SurfaceComponent(baseline.environment_id, baseline.tenant_id, baseline.module_id)
    properties = await app.surface.properties(component)
    proofs = await app.surface.prove(component, baseline.release_revision)
    observed = await app.surface.observe(component)
    if isinstance(observed, Absent):
        return Present(ServiceReading())
    if isinstance(observed, Unknown):
        return observed
    if isinstance(properties, Unknown):
        return properties
    found = properties.value if isinstance(properties, Present) else {}
    return _whole(observed.value, found, proofs)


async def read_authors(baseline: ServiceBaseline, app: DriftApp) -> Mapping[str, str]:
    """Return who set properties of the release in force, by plane and path.

    Nothing where its surface does not know, or does not answer.
    """
    component = baseline.component
    reader = app.authors.get(component.compute_target) if component else None
    if reader is None:
        return {}
    of = SurfaceComponent(baseline.environment_id, baseline.tenant_id, baseline.module_id)
    reading = await reader.authors(of, baseline.release_revision)
    return reading.value if isinstance(reading, Present) else {}


def _whole(
    live: LiveComponent,
    found: Mapping[int, Properties],
    proofs: Reading[tuple[LiveProof, ...]],
) -> Present[ServiceReading] | Unknown:
    wanted = {
        each.revision: each.version for each in live.revisions if each.phase is not Phase.DRAINING
    }
    if missing := wanted.keys() - found.keys():
        return Unknown(f"revision {min(missing)} changed while it was read")
    planes = {number: as_planes(found[number]) for number in wanted}
    service = LiveService(planes, wanted, _departures(proofs))
    return Present(ServiceReading(service, live.fence))


def _departures(proofs: Reading[tuple[LiveProof, ...]]) -> tuple[str, ...] | None:
    match proofs:
        case Present(value):
            return tuple(
                f"{proof.instance}: {', '.join(proof.departs)}"
                for proof in sorted(value, key=lambda each: each.instance)
                if not proof.holds
            )
        case _:
            return None
