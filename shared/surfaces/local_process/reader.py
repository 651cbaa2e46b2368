"""Reads of the LocalProcess surface: from its state files, its processes and Envoy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from shared.kernel.clock import Clock
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.local_process import limits
from shared.surfaces.local_process.artifacts import Artifacts
from shared.surfaces.local_process.envoy_admin import EnvoyAdmin
from shared.surfaces.local_process.envoy_process import envoy_epoch
from shared.surfaces.local_process.instance_folder import InstanceFolder, outputs_of
from shared.surfaces.local_process.observation import (
    InstanceUnreadable,
    endpoint,
    live_processes,
    live_revisions,
    prove_instance,
)
from shared.surfaces.local_process.state_files import (
    CorruptStateFile,
    DesiredComponent,
    DesiredSite,
    SiteFolder,
    SurfaceFolder,
)
from shared.surfaces.local_process.supervisor import has_supervisor
from shared.surfaces.observed_state import LiveComponent, LiveProof, Site
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import TrafficSample

T = TypeVar("T")
_NO_SUPERVISOR: Final = "no supervisor runs for this surface at the moment"
_DELETING: Final = "the site is being deleted"


class LocalProcessReader:
    """The SurfaceReader of LocalProcess; any process may read."""

    def __init__(self, folder: SurfaceFolder, artifacts: Artifacts, clock: Clock) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._clock = clock
        self._capabilities = limits.capabilities()

    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        folder = self._folder.site(environment)
        try:
            site = folder.site()
        except CorruptStateFile as corrupt:
            return Unknown(str(corrupt))
        if site is None or (not site.is_wanted and not folder.edge.exists()):
            return Absent()
        is_ready = site.is_wanted and await EnvoyAdmin(site.admin_port).is_ready()
        url = f"http://127.0.0.1:{site.public_port}/"
        return Present(Site(environment, url, is_ready, site.spec.facts, site.fence))

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        return await self._read(component, self._observe)

    async def inventory(self, environment: EnvironmentId) -> Reading[tuple[LiveComponent, ...]]:
        folder = self._folder.site(environment)
        live: list[LiveComponent] = []
        try:
            site = folder.site()
            if site is None or not site.is_wanted:
                return _absent_site(folder)
            components = [desired.component for desired in folder.components()]
        except CorruptStateFile as corrupt:
            return Unknown(str(corrupt))
        for component in components:
            reading = await self.observe(component)
            if isinstance(reading, Unknown):
                return reading
            if isinstance(reading, Present):
                live.append(reading.value)
        return Present(tuple(sorted(live, key=lambda component: component.component)))

    async def prove(self, component: SurfaceComponent) -> Reading[tuple[LiveProof, ...]]:
        return await self._read(component, self._prove)

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        return await self._read(component, self._sample_traffic)

    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        if instance in {".", ".."} or "/" in instance or "\0" in instance:
            return Absent()
        site = self._folder.site(component.environment)
        folder = InstanceFolder(site.instances(component.service) / instance)
        try:
            lines = await asyncio.to_thread(folder.tail, tail)
        except OSError as failed:
            return Unknown(f"the output of {instance} cannot be read: {failed.strerror}")
        return Absent() if lines is None else Present(lines)

    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> Reading[tuple[str, ...]]:
        folder = self._folder.site(component.environment).instances(component.service)
        try:
            names = await asyncio.to_thread(outputs_of, folder, component.module, revision)
        except OSError as failed:
            return Unknown(f"the outputs of {component.module} cannot be read: {failed.strerror}")
        return Present(names) if names else Absent()

    async def _observe(
        self, folder: SiteFolder, site: DesiredSite, desired: DesiredComponent
    ) -> LiveComponent:
        weights: Mapping[int, int] = desired.weights
        if desired.has_port:
            weights = await EnvoyAdmin(site.admin_port).weights(desired.component.service)
        return LiveComponent(
            desired.component,
            live_revisions(folder, desired),
            weights,
            endpoint(site, desired),
            desired.fence,
        )

    async def _prove(
        self, folder: SiteFolder, _site: DesiredSite, desired: DesiredComponent
    ) -> tuple[LiveProof, ...]:
        proofs = []
        for record, identity in live_processes(folder, desired):
            spec = desired.revisions[record.revision].spec
            proofs.append(
                await prove_instance(record, identity, spec, self._artifacts, self._clock)
            )
        return tuple(proofs)

    async def _sample_traffic(
        self, folder: SiteFolder, site: DesiredSite, desired: DesiredComponent
    ) -> TrafficSample | None:
        if not desired.has_port:
            return None
        epoch = envoy_epoch(folder.edge)
        counters = await EnvoyAdmin(site.admin_port).traffic(desired.component.service)
        return TrafficSample(self._clock.now(), epoch, counters)

    async def _read(
        self,
        component: SurfaceComponent,
        read: Callable[[SiteFolder, DesiredSite, DesiredComponent], Awaitable[T | None]],
    ) -> Reading[T]:
        """Return the value of *read*; Absent for None, Unknown when something cannot be read."""
        folder = self._folder.site(component.environment)
        try:
            site = folder.site()
            if site is None or not site.is_wanted:
                return _absent_site(folder)
            if not has_supervisor(self._folder.root):
                return Unknown(_NO_SUPERVISOR)
            desired = folder.component(component.service)
            if desired is None or not desired.revisions:
                return Absent()
            value = await read(folder, site, desired)
        except (CorruptStateFile, InstanceUnreadable) as unreadable:
            return Unknown(str(unreadable))
        except TrafficUnavailable as unavailable:
            return Unknown(unavailable.message)
        return Absent() if value is None else Present(value)


def _absent_site(folder: SiteFolder) -> Absent | Unknown:
    return Unknown(_DELETING) if folder.edge.exists() else Absent()
