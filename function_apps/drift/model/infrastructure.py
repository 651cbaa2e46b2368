"""The plane infrastructure: what was provisioned, and what surfaces show of it. Pure.

Its owner only is told of it. A surface shows its site, the public address of that, the servers and
folders that keep data where it has some, and the capacity to which it holds all workloads; what
else the environment has is named as not seen.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from function_apps.drift.model.classification import FOLDER
from function_apps.drift.model.environment_content import EnvironmentContent, why_not_compared
from function_apps.drift.model.plane_scan import Part, PlaneReading, unread_surface
from shared.contracts.drift import Plane
from shared.contracts.environments import ComputeTarget, DataResourceKind
from shared.contracts.values import ComputeTargetKind, Reason, Resources, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import counted_cores
from shared.surfaces.data_servers import SERVER_KINDS
from shared.surfaces.observed_state import Site

SITE: Final = "site"
_THERE: Final = "there"
_ENDPOINT: Final = "endpoint"
CAPACITY: Final = "capacity"
UNLIMITED: Final = "unlimited"
Looks = Mapping[ComputeTargetKind, Reading[Site]]


def why_not_judged(content: EnvironmentContent, tenant: TenantId) -> PlaneReading | None:
    """Return that nothing of the plane is compared now, and why; None where it is."""
    if (not_compared := why_not_compared(content)) is not None:
        return PlaneReading(
            Plane.INFRASTRUCTURE, reason=not_compared[0], is_unfinished=not_compared[1]
        )
    if content.owner != tenant:
        message = "the environment is another tenant's, who alone is told of it"
        return PlaneReading(
            Plane.INFRASTRUCTURE, reason=Reason(code="OfAnotherTenant", message=message)
        )
    return None


def infrastructure_reading(
    content: EnvironmentContent, tenant: TenantId, looks: Looks
) -> PlaneReading:
    """Return the plane as *looks* show it: one at each surface of the environment."""
    if (not_judged := why_not_judged(content, tenant)) is not None:
        return not_judged
    parts, unread = [], dict(_not_shown(content, looks))
    for target in content.targets:
        match looks[target.kind]:
            case Unknown(reason):
                unread[target.kind.value] = unread_surface(target.kind, reason)
            case Present(site) if site.is_ready or site.endpoint:
                desired = dict(_desired(content, target, site))
                live = {path: word for path, word in _live(site) if path in desired}
                parts.append(Part(target.kind, desired, live, site.fence))
            case Present(site):
                # What it lacks besides follows from that, and is not told.
                parts.append(Part(target.kind, {SITE: _THERE}, {}, site.fence))
            case Absent():
                parts.append(Part(target.kind, {SITE: _THERE}, {}))
    return PlaneReading(Plane.INFRASTRUCTURE, tuple(parts), unread)


def _not_shown(content: EnvironmentContent, looks: Looks) -> Iterator[tuple[str, Reason]]:
    """Yield the data that no surface shows; a surface that has no answer is named by itself."""
    machine = looks.get(ComputeTargetKind.LOCAL_PROCESS)
    has_folders = not isinstance(machine, Present) or machine.value.volumes is not None
    shown = (*SERVER_KINDS, *([DataResourceKind.LOCAL_FOLDER] if machine and has_folders else []))
    for resource in content.data:
        if resource.kind not in shown:
            message = f"{resource.name} ({resource.kind}): no surface shows it"
            yield f"data/{resource.name}", Reason(code="NotShown", message=message)


def _desired(
    content: EnvironmentContent, target: ComputeTarget, site: Site
) -> Iterator[tuple[str, str]]:
    yield SITE, _THERE
    if target.endpoint is not None:
        yield _ENDPOINT, target.endpoint
    if target.kind is ComputeTargetKind.LOCAL_PROCESS:
        yield from _data(content, site)
    elif content.capacities is not None:
        asked = content.capacities.get(target.kind, Resources())
        yield from _capacity(asked.cpu, asked.memory_mib)


def _data(content: EnvironmentContent, site: Site) -> Iterator[tuple[str, str]]:
    for resource in content.data:
        if resource.kind in SERVER_KINDS:
            yield f"data/{resource.name}/kind", resource.kind
            port = content.outputs.get(f"data.{resource.name}.port")
            if port is not None:
                yield f"data/{resource.name}/port", port
        elif resource.kind is DataResourceKind.LOCAL_FOLDER and site.volumes is not None:
            yield f"data/{resource.name}/{FOLDER}", _THERE


def _capacity(cpu: float | None, memory_mib: int | None) -> Iterator[tuple[str, str]]:
    cores = None if cpu is None else counted_cores(cpu)
    for name, limit in (("cpu", cores), ("memoryMib", memory_mib)):
        yield f"{CAPACITY}/{name}", UNLIMITED if limit is None else _figure(limit)


def _figure(limit: float) -> str:
    """Return *limit* with one way to write each number: `2.0` is 2, and `0.50` is 0.5."""
    return f"{limit:.3f}".rstrip("0").rstrip(".")


def _live(site: Site) -> Iterator[tuple[str, str]]:
    yield SITE, _THERE
    if site.endpoint:
        yield _ENDPOINT, site.endpoint
    for server in site.servers:
        yield f"data/{server.name}/kind", server.kind
        yield f"data/{server.name}/port", str(server.port)
    for name in site.volumes or ():
        yield f"data/{name}/{FOLDER}", _THERE
    yield from _capacity(site.capacity.cpu, site.capacity.memory_mb)
