"""LocalProcess: workloads are processes of this machine, behind one Envoy per environment.

A write records the desired state and notifies the supervisor. Where the port promises more (weights
in force, a site that serves, a site deleted), the write waits for it. Only the agent has one,
and runs `supervise`; the apps call it by `shared/surfaces/local_process.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from local_agent.artifacts import ArchiveSource, Artifacts
from local_agent.data_folders import require_data_folders
from local_agent.envoy_admin import EnvoyAdmin, wait_until
from local_agent.envoy_process import last_complaint
from local_agent.loopback_ports import free_port, is_free
from local_agent.observation import live_revisions
from local_agent.reader import LocalProcessReader
from local_agent.state_files import (
    CorruptStateFile,
    DesiredComponent,
    DesiredRevision,
    DesiredSite,
    SurfaceFolder,
)
from local_agent.supervisor import Notifier, supervise
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.surfaces.errors import RevisionMissing, SiteMissing, TrafficUnavailable
from shared.surfaces.rules import check_fence, check_removal, check_revision, check_weights
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent

WAIT_S: Final = 15.0
"""For changes that take milliseconds on an idle machine; then the caller gets `Unavailable`."""


class LocalProcessSurface(LocalProcessReader):
    """Surface, SurfaceReader and Sites below the folder *root*; artifacts come from *archives*."""

    def __init__(self, root: Path, archives: ArchiveSource, clock: Clock, entropy: Entropy) -> None:
        # Specs contain the environ of workloads, so no other user of this machine may read them.
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(SurfaceFolder(root), Artifacts(root / "artifacts", archives), clock)
        self._entropy = entropy
        self._notifier = Notifier()

    async def supervise(self) -> None:
        """Reconcile all sites until canceled; the processes continue to run."""
        await supervise(self._folder, self._artifacts, self._notifier, self._clock, self._entropy)

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        await asyncio.to_thread(self._write_site, spec, fence)
        self._notifier.notify()

        async def is_ready() -> bool:
            return await EnvoyAdmin(edge).is_ready()

        edge = self._folder.site(spec.environment).edge
        try:
            await wait_until(is_ready, self._clock, WAIT_S, f"Envoy of {spec.environment} is late")
        except TrafficUnavailable as late:
            complaint = await asyncio.to_thread(last_complaint, edge)
            raise TrafficUnavailable(f"{late.message}: {complaint}", retry_after_s=2.0) from late

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        if not await asyncio.to_thread(self._request_deletion, environment, fence):
            return
        self._notifier.notify()

        async def is_deleted() -> bool:
            return not self._folder.site(environment).edge.exists()

        otherwise = f"processes of {environment} are still stopping"
        await wait_until(is_deleted, self._clock, WAIT_S, otherwise)

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        # Unpacking may take long, so the fence is checked before it and again with the write.
        await self._update(spec.component, fence, lambda desired: desired)
        await self._artifacts.prepare(spec.artifact, spec.component.tenant)
        require_data_folders(self._folder.site(spec.component.environment), spec)

        def add(desired: DesiredComponent) -> DesiredComponent:
            present = desired.revisions.get(spec.revision)
            others = self._specs_of_others(spec.component)
            check_revision(spec, present.spec if present else None, others)
            revision = replace(present or DesiredRevision(spec), spec=spec, removed_at=None)
            return _with_revision(desired, revision)

        await self._update(spec.component, fence, add)

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        def resize(desired: DesiredComponent) -> DesiredComponent:
            present = desired.revisions.get(revision)
            if present is None:
                raise RevisionMissing(
                    f"revision {revision} of {component.module} does not exist here"
                )
            spec = replace(present.spec, replicas=replicas)
            return _with_revision(desired, replace(present, spec=spec))

        await self._update(component, fence, resize)

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        def split(desired: DesiredComponent) -> DesiredComponent:
            live = live_revisions(self._folder.site(component.environment), desired)
            checked = check_weights(component, weights, live)
            now = self._clock.now()
            revisions = {
                number: replace(revision, weightless_at=now)
                if number in desired.weights and number not in checked
                else revision
                for number, revision in desired.revisions.items()
            }
            return replace(desired, weights=checked, revisions=revisions)

        after = await self._update(component, fence, split)
        if not after.has_port:
            return

        async def is_in_force() -> bool:
            edge = self._folder.site(component.environment).edge
            try:
                in_force = await EnvoyAdmin(edge).weights(component.service)
            except TrafficUnavailable:
                return False
            return in_force == after.weights

        otherwise = f"the weights of {component.module} are not in force yet"
        await wait_until(is_in_force, self._clock, WAIT_S, otherwise)

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        def request_removal(desired: DesiredComponent) -> DesiredComponent:
            check_removal(component, revision, desired.weights)
            present = desired.revisions.get(revision)
            if present is None or present.removed_at is not None:
                return desired
            return _with_revision(desired, replace(present, removed_at=self._clock.now()))

        await self._update(component, fence, request_removal)

    def _specs_of_others(self, component: SurfaceComponent) -> list[RevisionSpec]:
        folder = self._folder.site(component.environment)
        others = (desired for desired in folder.components() if desired.component != component)
        return [revision.spec for desired in others for revision in desired.revisions.values()]

    async def _update(
        self,
        component: SurfaceComponent,
        fence: Fence,
        decide: Callable[[DesiredComponent], DesiredComponent],
    ) -> DesiredComponent:
        """Write the result of *decide*; the fence is recorded even if *decide* refuses."""
        try:
            after = await asyncio.to_thread(self._write_component, component, fence, decide)
        except CorruptStateFile as corrupt:
            raise Unavailable(f"the surface's state is corrupt: {corrupt}") from corrupt
        self._notifier.notify()
        return after

    def _write_component(
        self,
        component: SurfaceComponent,
        fence: Fence,
        decide: Callable[[DesiredComponent], DesiredComponent],
    ) -> DesiredComponent:
        folder = self._folder.site(component.environment)
        with folder.write_lock():
            site = folder.site()
            if site is None or not site.is_wanted:
                raise SiteMissing(f"{component.environment} has no site here: provision it")
            before = folder.component(component.service) or DesiredComponent(component)
            fenced = replace(before, fence=check_fence(component.module, fence, before.fence))
            try:
                after = decide(fenced)
            except Refused:
                if fenced != before:
                    folder.write_component(fenced)
                raise
            if after != before:
                folder.write_component(after)
            return after

    def _write_site(self, spec: SiteSpec, fence: Fence) -> None:
        folder = self._folder.site(spec.environment)
        with folder.write_lock():
            site = folder.site()
            if site is not None and not site.is_wanted and folder.edge.exists():
                check_fence(spec.environment, fence, site.fence)
                raise Unavailable(f"{spec.environment} is still being deleted")
            token = check_fence(spec.environment, fence, 0 if site is None else site.fence)
            is_there = site is not None and site.is_wanted
            port = site.public_port if site and is_there else self._port_for(site)
            folder.write_site(DesiredSite(spec, port, token))

    def _request_deletion(self, environment: EnvironmentId, fence: Fence) -> bool:
        """Record that the site is to be deleted; return False when there is none."""
        folder = self._folder.site(environment)
        if folder.site() is None:
            return False
        with folder.write_lock():
            site = folder.site()
            assert site is not None
            token = check_fence(environment, fence, site.fence)
            folder.write_site(replace(site, fence=token, is_wanted=False))
        return True

    def _port_for(self, deleted: DesiredSite | None) -> int:
        """Return a port for a new site: that of the *deleted* one before it, unless it is taken."""
        in_use = self._ports_in_use()
        if deleted and deleted.public_port not in in_use and is_free(deleted.public_port):
            return deleted.public_port
        return free_port(self._entropy, in_use)

    def _ports_in_use(self) -> set[int]:
        """Return the ports of all sites, but for those that are deleted."""
        return {
            site.public_port
            for folder in self._folder.sites()
            if (site := folder.site()) and (site.is_wanted or folder.edge.exists())
        }


def _with_revision(desired: DesiredComponent, revision: DesiredRevision) -> DesiredComponent:
    return replace(desired, revisions={**desired.revisions, revision.spec.revision: revision})
