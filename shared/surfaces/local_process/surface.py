"""LocalProcess: the surface ports on this machine's processes and an Envoy per environment.

A write records what is wanted (journal) and rings the supervisor; where the port promises more
(weights in force, a site that serves, a site gone) it waits until that shows. Any process may read
and write; exactly one runs `supervise`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.persistence.blobs import Blobs
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.errors import (
    RevisionMissing,
    SiteMissing,
    StillWeighted,
    TrafficUnavailable,
)
from shared.surfaces.local_process import limits
from shared.surfaces.local_process.artifacts import Artifacts
from shared.surfaces.local_process.envoy_process import EnvoyAdmin, envoy_epoch
from shared.surfaces.local_process.instances import InstanceFolder
from shared.surfaces.local_process.loopback_ports import free_port
from shared.surfaces.local_process.observation import endpoint, live_revisions, living
from shared.surfaces.local_process.proof import InstanceUnreadable, prove_instance
from shared.surfaces.local_process.state_files import (
    CorruptStateFile,
    DesiredComponent,
    DesiredRevision,
    DesiredSite,
    SiteFolder,
    SurfaceFolder,
)
from shared.surfaces.local_process.supervisor import Notifier, Supervisor, has_supervisor
from shared.surfaces.observed_state import InstanceProof, LiveComponent, LiveRevision, Site
from shared.surfaces.rules import admit, check_revision, check_weights
from shared.surfaces.spec import Component, RevisionSpec, SiteSpec
from shared.surfaces.traffic import TrafficSample

WAIT_S: Final = 15.0
"""For what takes milliseconds on an idle machine; then `Unavailable`, and the caller repeats."""
_LOOK_EVERY_S: Final = 0.02
T = TypeVar("T")
_NOBODY: Final = "no supervisor keeps this surface at the moment"


class LocalProcessSurface:
    """Surface, SurfaceReader and Sites below the folder *root*; artifacts come from *blobs*."""

    def __init__(self, root: Path, blobs: Blobs, clock: Clock, entropy: Entropy) -> None:
        # Specs hold what workloads are given, so nobody else of this machine reads them.
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = root
        self._journal = SurfaceFolder(root)
        self._artifacts = Artifacts(root / "artifacts", blobs)
        self._clock = clock
        self._entropy = entropy
        self._bell = Notifier()
        self._can = limits.capabilities()

    def capabilities(self) -> Capabilities:
        return self._can

    async def supervise(self) -> None:
        """Keep everything as it is wanted until cancelled; what runs then goes on running.

        Raises:
            SupervisorRunning: another process does.
        """
        await Supervisor(
            self._journal, self._artifacts, self._bell, self._clock, self._entropy
        ).run()

    # Sites

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        await asyncio.to_thread(self._want_site, spec, fence)
        self._bell.ring()

        async def is_ready() -> bool:
            site = self._journal.site(spec.environment).site()
            return site is not None and await EnvoyAdmin(site.admin_port).is_ready()

        await self._until(
            is_ready,
            f"Envoy of {spec.environment} does not come up: see edge/envoy.log of its site",
        )

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        folder = self._journal.site(environment)
        try:
            site = folder.site()
        except CorruptStateFile as damaged:
            return Unknown(str(damaged))
        if site is None or (not site.is_wanted and not folder.edge.exists()):
            return Absent()
        is_ready = site.is_wanted and await EnvoyAdmin(site.admin_port).is_ready()
        url = f"http://127.0.0.1:{site.public_port}/"
        return Present(Site(environment, url, is_ready, site.spec.facts, site.fence))

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        if not await asyncio.to_thread(self._unwant_site, environment, fence):
            return
        self._bell.ring()

        async def is_gone() -> bool:
            return not self._journal.site(environment).edge.exists()

        await self._until(is_gone, f"{environment} has processes that are still stopping")

    # What deployments change

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        # The fence first, and once more with the write: unpacking may take long.
        await self._change(spec.component, fence, lambda wanted: wanted)
        await self._artifacts.prepare(spec.artifact)

        def add(wanted: DesiredComponent) -> DesiredComponent:
            present = wanted.revisions.get(spec.revision)
            check_revision(spec, present.spec if present else None, self._others(spec.component))
            kept = replace(present or DesiredRevision(spec), spec=spec, removed_at=None)
            return replace(wanted, revisions={**wanted.revisions, spec.revision: kept})

        await self._change(spec.component, fence, add)

    async def scale(self, component: Component, revision: int, replicas: int, fence: Fence) -> None:
        def resize(wanted: DesiredComponent) -> DesiredComponent:
            found = wanted.revisions.get(revision)
            if found is None:
                raise RevisionMissing(f"revision {revision} of {component.module} is not here")
            after = replace(found, spec=replace(found.spec, replicas=replicas))
            return replace(wanted, revisions={**wanted.revisions, revision: after})

        await self._change(component, fence, resize)

    async def set_weights(
        self, component: Component, weights: Mapping[int, int], fence: Fence
    ) -> None:
        def split(wanted: DesiredComponent) -> DesiredComponent:
            folder = self._journal.site(component.environment)
            live = live_revisions(folder, wanted)
            judged = check_weights(component, weights, live)
            now = self._clock.now()
            revisions = {
                number: replace(revision, weightless_at=now)
                if number in wanted.weights and number not in judged
                else revision
                for number, revision in wanted.revisions.items()
            }
            return replace(wanted, weights=judged, revisions=revisions)

        after = await self._change(component, fence, split)
        if not any(revision.spec.port for revision in after.revisions.values()):
            return

        async def is_in_force() -> bool:
            return await self._weights(component) == after.weights

        await self._until(is_in_force, f"the weights of {component.module} are not in force yet")

    async def remove(self, component: Component, revision: int, fence: Fence) -> None:
        def leave(wanted: DesiredComponent) -> DesiredComponent:
            if wanted.weights.get(revision):
                raise StillWeighted(
                    f"revision {revision} of {component.module} has "
                    f"{wanted.weights[revision]} % of the traffic: set its weight to 0 first"
                )
            found = wanted.revisions.get(revision)
            if found is None or found.removed_at is not None:
                return wanted
            after = replace(found, removed_at=self._clock.now())
            return replace(wanted, revisions={**wanted.revisions, revision: after})

        await self._change(component, fence, leave)

    # What everyone reads

    async def observe(self, component: Component) -> Reading[LiveComponent]:
        return await self._read(component, self._look)

    async def inventory(self, environment: EnvironmentId) -> Reading[tuple[LiveComponent, ...]]:
        folder = self._journal.site(environment)
        found: list[LiveComponent] = []
        try:
            site = folder.site()
            if site is None or not site.is_wanted:
                return await self._absent_site(folder)
            components = [folder.wanted(service) for service in folder.services()]
        except CorruptStateFile as damaged:
            return Unknown(str(damaged))
        for wanted in components:
            reading = await self.observe(wanted.component) if wanted else Absent()
            if isinstance(reading, Unknown):
                return reading
            if isinstance(reading, Present):
                found.append(reading.value)
        return Present(tuple(sorted(found, key=lambda live: live.component)))

    async def prove(self, component: Component) -> Reading[tuple[InstanceProof, ...]]:
        async def ask(
            folder: SiteFolder, _: DesiredSite, wanted: DesiredComponent
        ) -> tuple[InstanceProof, ...]:
            return tuple(
                [
                    await prove_instance(
                        started,
                        identity,
                        wanted.revisions[started.revision].spec,
                        self._artifacts,
                        self._clock,
                    )
                    for started, identity in living(folder, wanted)
                ]
            )

        return await self._read(component, ask)

    async def traffic(self, component: Component) -> Reading[TrafficSample]:
        async def count(
            folder: SiteFolder, site: DesiredSite, wanted: DesiredComponent
        ) -> TrafficSample | None:
            if not any(revision.spec.port for revision in wanted.revisions.values()):
                return None
            epoch = envoy_epoch(folder.edge)
            counters = await EnvoyAdmin(site.admin_port).traffic(component.service)
            return TrafficSample(self._clock.now(), epoch, counters)

        return await self._read(component, count)

    async def logs(
        self, component: Component, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        folder = self._journal.site(component.environment)
        if instance in {".", ".."} or "/" in instance or "\0" in instance:
            return Absent()
        place = InstanceFolder(folder.place(component.service, instance))
        try:
            lines = await asyncio.to_thread(place.tail, tail)
        except OSError as failed:
            return Unknown(f"the output of {instance} cannot be read: {failed.strerror}")
        return Absent() if lines is None else Present(lines)

    # Inside

    async def _look(
        self, folder: SiteFolder, site: DesiredSite, wanted: DesiredComponent
    ) -> LiveComponent:
        serves = any(revision.spec.port for revision in wanted.revisions.values())
        weights: Mapping[int, int] = wanted.weights
        if serves:
            weights = await self._weights(wanted.component)
        revisions: tuple[LiveRevision, ...] = live_revisions(folder, wanted)
        url = endpoint(site, wanted) if serves else None
        return LiveComponent(wanted.component, revisions, weights, url, wanted.fence)

    async def _read(
        self,
        component: Component,
        look: Callable[[SiteFolder, DesiredSite, DesiredComponent], Awaitable[T | None]],
    ) -> Reading[T]:
        folder = self._journal.site(component.environment)
        try:
            site = folder.site()
            if site is None or not site.is_wanted:
                return await self._absent_site(folder)
            if not has_supervisor(self._root):
                return Unknown(_NOBODY)
            wanted = folder.wanted(component.service)
            if wanted is None or not wanted.revisions:
                return Absent()
            seen = await look(folder, site, wanted)
        except (CorruptStateFile, InstanceUnreadable) as unseen:
            return Unknown(str(unseen))
        except TrafficUnavailable as away:
            return Unknown(away.message)
        return Absent() if seen is None else Present(seen)

    async def _absent_site(self, folder: SiteFolder) -> Absent | Unknown:
        return Unknown("the site is being taken away") if folder.edge.exists() else Absent()

    async def _weights(self, component: Component) -> Mapping[int, int]:
        site = self._journal.site(component.environment).site()
        assert site is not None
        _, weights = await EnvoyAdmin(site.admin_port).table()
        return {n: percent for n, percent in weights.get(component.service, {}).items() if percent}

    def _others(self, component: Component) -> list[RevisionSpec]:
        folder = self._journal.site(component.environment)
        documents = [folder.wanted(s) for s in folder.services() if s != component.service]
        return [r.spec for wanted in documents if wanted for r in wanted.revisions.values()]

    async def _change(
        self,
        component: Component,
        fence: Fence,
        decide: Callable[[DesiredComponent], DesiredComponent],
    ) -> DesiredComponent:
        """Write what *decide* makes of the component; the fence is kept even if it refuses."""

        def change() -> DesiredComponent:
            folder = self._journal.site(component.environment)
            with folder.turn():
                site = folder.site()
                if site is None or not site.is_wanted:
                    raise SiteMissing(f"{component.environment} has no site here: provision it")
                before = folder.wanted(component.service) or DesiredComponent(component)
                fenced = replace(before, fence=admit(component.module, fence, before.fence))
                try:
                    after = decide(fenced)
                except Refused:
                    if fenced != before:
                        folder.write_wanted(fenced)
                    raise
                if after != before:
                    folder.write_wanted(after)
                return after

        try:
            after = await asyncio.to_thread(change)
        except CorruptStateFile as damaged:
            raise Unavailable(f"the surface's journal is damaged: {damaged}") from damaged
        self._bell.ring()
        return after

    def _want_site(self, spec: SiteSpec, fence: Fence) -> None:
        folder = self._journal.site(spec.environment)
        with folder.turn():
            site = folder.site()
            if site is not None and not site.is_wanted and folder.edge.exists():
                admit(spec.environment, fence, site.fence)
                raise Unavailable(f"{spec.environment} is still being taken away")
            if site is None:
                taken = self._ports_of_sites()
                public = free_port(self._entropy, taken)
                admin = free_port(self._entropy, {*taken, public})
                site = DesiredSite(spec, public, admin, 0)
            token = admit(spec.environment, fence, site.fence)
            folder.write_site(replace(site, spec=spec, fence=token, is_wanted=True))

    def _unwant_site(self, environment: EnvironmentId, fence: Fence) -> bool:
        folder = self._journal.site(environment)
        if folder.site() is None:
            return False
        with folder.turn():
            site = folder.site()
            assert site is not None
            token = admit(environment, fence, site.fence)
            folder.write_site(replace(site, fence=token, is_wanted=False))
        return True

    def _ports_of_sites(self) -> set[int]:
        sites = [folder.site() for folder in self._journal.sites()]
        return {p for site in sites if site for p in (site.public_port, site.admin_port)}

    async def _until(self, holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline_s = self._clock.monotonic_s() + WAIT_S
        while not await _or_false(holds):
            if self._clock.monotonic_s() > deadline_s:
                raise TrafficUnavailable(otherwise, retry_after_s=2.0)
            await self._clock.sleep(_LOOK_EVERY_S)


async def _or_false(holds: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await holds()
    except TrafficUnavailable:
        return False
