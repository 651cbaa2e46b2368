"""Reads of the LocalProcess surface: from its state files, its processes and Envoy."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from local_agent.artifacts import Artifacts
from local_agent.capabilities import capabilities
from local_agent.envoy_admin import EnvoyAdmin
from local_agent.envoy_process import envoy_token
from local_agent.instance_folder import InstanceFolder, outputs_of
from local_agent.observation import (
    Unreadable,
    endpoint,
    live_instances,
    live_revisions,
    prove_instance,
)
from local_agent.state_files import (
    CorruptStateFile,
    DesiredComponent,
    DesiredSite,
    SiteFolder,
    SurfaceFolder,
)
from local_agent.supervisor import has_supervisor
from shared.kernel.clock import Clock
from shared.kernel.ids import EnvironmentId, ServiceId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.observed_state import LiveComponent, LiveProof, Site
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import TrafficSample

P = ParamSpec("P")
T = TypeVar("T")


def _reading(
    read: Callable[P, Awaitable[T | None]],
) -> Callable[P, Coroutine[Any, Any, Reading[T]]]:
    """Make *read* a read of the port: Absent for None, Unknown if it cannot be answered."""

    @wraps(read)
    async def reading(*args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        try:
            value = await read(*args, **kwargs)
        except (CorruptStateFile, Unreadable, TrafficUnavailable) as failed:
            return Unknown(str(failed))
        except OSError as failed:
            return Unknown(f"a file of the surface cannot be read: {failed.strerror}")
        return Absent() if value is None else Present(value)

    return reading


class LocalProcessReader:
    """The reads of `LocalProcessSurface`, apart because they take no lock and change nothing."""

    def __init__(self, folder: SurfaceFolder, artifacts: Artifacts, clock: Clock) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._clock = clock
        self._capabilities = capabilities()

    def capabilities(self) -> Capabilities:
        return self._capabilities

    @_reading
    async def read_site(self, environment: EnvironmentId) -> Site | None:
        folder = self._folder.site(environment)
        site = folder.site()
        if site is None or (not site.is_wanted and not folder.edge.exists()):
            return None
        is_ready = site.is_wanted and await EnvoyAdmin(folder.edge).is_ready()
        url = f"http://127.0.0.1:{site.public_port}/"
        return Site(environment, url, is_ready, site.spec.facts, site.fence)

    @_reading
    async def observe(self, component: SurfaceComponent) -> LiveComponent | None:
        documents = self._documents(component)
        if documents is None:
            return None
        folder, _, desired = documents
        weights: Mapping[ServiceId, Mapping[int, int]] = {}
        if desired.has_port:
            _, weights = await EnvoyAdmin(folder.edge).route_table()
        return _live(*documents, weights)

    @_reading
    async def inventory(self, environment: EnvironmentId) -> tuple[LiveComponent, ...] | None:
        folder = self._folder.site(environment)
        if _wanted_site(folder) is None:
            return None
        components = sorted(desired.component for desired in folder.components())
        documents = [self._documents(component) for component in components]
        present = [each for each in documents if each is not None]
        weights: Mapping[ServiceId, Mapping[int, int]] = {}
        if any(desired.has_port for _, _, desired in present):
            _, weights = await EnvoyAdmin(folder.edge).route_table()
        return tuple(_live(*each, weights) for each in present)

    @_reading
    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> tuple[LiveProof, ...] | None:
        documents = self._documents(component)
        if documents is None:
            return None
        folder, _, desired = documents
        proofs = [
            await prove_instance(
                record,
                identity,
                desired.revisions[record.revision].spec,
                self._artifacts,
                self._clock,
            )
            for record, identity in live_instances(folder, desired)
            if revision in {None, record.revision}
        ]
        return tuple(proofs)

    @_reading
    async def traffic(self, component: SurfaceComponent) -> TrafficSample | None:
        documents = self._documents(component)
        if documents is None or not documents[2].has_port:
            return None
        folder, _, _ = documents
        epoch = envoy_token(folder.edge)
        counters = await EnvoyAdmin(folder.edge).traffic(component.service)
        return TrafficSample(self._clock.now(), epoch, counters)

    @_reading
    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> tuple[str, ...] | None:
        if instance in {".", ".."} or "/" in instance or "\0" in instance:
            return None
        site = self._folder.site(component.environment)
        folder = InstanceFolder(site.instances(component.service) / instance)
        return await asyncio.to_thread(folder.tail, tail)

    @_reading
    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> tuple[str, ...] | None:
        folder = self._folder.site(component.environment).instances(component.service)
        return await asyncio.to_thread(outputs_of, folder, component.module, revision) or None

    def _documents(
        self, component: SurfaceComponent
    ) -> tuple[SiteFolder, DesiredSite, DesiredComponent] | None:
        """Return the desired state of *component*; None when it has no revision here.

        Raises:
            CorruptStateFile, Unreadable.
        """
        folder = self._folder.site(component.environment)
        site = _wanted_site(folder)
        if site is None:
            return None
        if not has_supervisor(self._folder.root):
            raise Unreadable("no supervisor runs for this surface at the moment")
        desired = folder.component(component.service)
        return (folder, site, desired) if desired is not None and desired.revisions else None


def _wanted_site(folder: SiteFolder) -> DesiredSite | None:
    site = folder.site()
    if site is not None and site.is_wanted:
        return site
    if folder.edge.exists():
        raise Unreadable("the site is being deleted")
    return None


def _live(
    folder: SiteFolder,
    site: DesiredSite,
    desired: DesiredComponent,
    routed: Mapping[ServiceId, Mapping[int, int]],
) -> LiveComponent:
    """Return the component as it is, with the weights that are *routed*; a worker has its own."""
    weights = routed.get(desired.component.service, {}) if desired.has_port else desired.weights
    return LiveComponent(
        desired.component,
        live_revisions(folder, desired),
        weights,
        endpoint(site, desired),
        desired.fence,
    )
