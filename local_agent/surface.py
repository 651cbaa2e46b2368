"""LocalProcess: workloads are processes of this machine, behind one Envoy per environment.

A write records the desired state and notifies the supervisor. Where the port promises more (weights
in force, a site that serves, a site deleted), the write waits for it. Only the agent has one,
and runs `supervise`; the apps call it by `shared/surfaces/local_process.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from local_agent.artifacts import ArchiveSource, Artifacts
from local_agent.capabilities import capabilities
from local_agent.configuration_files import keep_texts
from local_agent.data_folders import live_data_folders, require_data_folders
from local_agent.data_server import live_servers, settled_servers
from local_agent.desired_state import DesiredState
from local_agent.envoy_admin import EnvoyAdmin, wait_until
from local_agent.instance_folder import InstanceFolder, outputs_of
from local_agent.isolation_attempts import AttemptsFromInside
from local_agent.memory_place import NO_MEMORY, memory_place
from local_agent.observation import (
    Unreadable,
    live_component,
    live_instances,
    live_revisions,
    prove_instance,
    wanted_site,
)
from local_agent.public_port import explained
from local_agent.readings import reading
from local_agent.sandbox_means import tried_means
from local_agent.secret_values import SecretSource
from local_agent.starts import started_token
from local_agent.state_files import (
    CorruptStateFile,
    DesiredComponent,
    DesiredRevision,
    DesiredSite,
    SiteFolder,
    SurfaceFolder,
)
from local_agent.supervisor import Notifier, supervise
from local_agent.tenant_boundaries import live_boundary, require_kept
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, ServiceId, TenantId
from shared.surfaces.boundaries import Boundary, BoundarySpec
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.errors import RevisionMissing, TrafficUnavailable
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.observed_state import Inventory, LiveComponent, LiveProof, Site, Unread
from shared.surfaces.properties import Properties, revision_properties
from shared.surfaces.rules import check_removal, check_revision, check_weights
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample

WAIT_S: Final = 15.0
"""For changes that take milliseconds on an idle machine; then the caller gets `Unavailable`."""
P = ParamSpec("P")
T = TypeVar("T")


class LocalProcessSurface:
    """Surface, Sites, Boundaries and IsolationAttempts below the folder *root*.

    Artifacts come from *archives*, and the secrets of instances from *secrets*.
    """

    def __init__(
        self,
        root: Path,
        archives: ArchiveSource,
        secrets: SecretSource,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        # Specs contain the environ of workloads, so no other user of this machine may read them.
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = SurfaceFolder(root)
        self._artifacts = Artifacts(root / "artifacts", archives)
        self._secrets = secrets
        self._clock = clock
        self._entropy = entropy
        self._desired = DesiredState(self._folder, entropy)
        self._notifier = Notifier()
        self._has_seen_all = asyncio.Event()
        self._capabilities = capabilities()
        self._attempts = AttemptsFromInside(
            root, self._artifacts, secrets, self._capabilities, clock, entropy
        )

    async def supervise(self) -> None:
        """Reconcile all sites until canceled; the processes continue to run."""
        await supervise(
            self._folder,
            self._artifacts,
            self._secrets,
            self._notifier,
            self._has_seen_all,
            self._clock,
            self._entropy,
        )

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        await asyncio.to_thread(self._desired.write_site, spec, fence)
        self._notifier.notify()

        folder = self._folder.site(spec.environment)
        async with explained(folder, by_log=True):
            is_ready = EnvoyAdmin(folder.edge).is_ready
            await wait_until(is_ready, self._clock, WAIT_S, f"Envoy of {spec.environment} is late")
        await settled_servers(folder, spec.servers, self._clock)

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        if not await asyncio.to_thread(self._desired.request_deletion, environment, fence):
            return
        self._notifier.notify()

        async def is_deleted() -> bool:
            return not self._folder.site(environment).edge.exists()

        otherwise = f"processes of {environment} are still stopping"
        await wait_until(is_deleted, self._clock, WAIT_S, otherwise)

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        lacks = self._capabilities.lacks.get(Feature.SECRET_REFERENCES)
        if spec.secrets and lacks:
            raise Invalid(
                f"this machine gives {spec.component.module} no secrets: {lacks}",
                target="/secrets",
            )
        has_files = any(each.file for each in spec.secrets)
        if has_files and not tried_means().is_namespaced and memory_place() is None:
            raise Invalid(NO_MEMORY, target="/secrets")
        # Unpacking may take long, so the fence is checked before it and again with the write.
        await self._update(spec.component, fence, lambda desired: desired)
        await self._artifacts.prepare(spec.artifact, spec.component.tenant)
        require_data_folders(self._folder.site(spec.component.environment), spec)

        def add(desired: DesiredComponent) -> DesiredComponent:
            present = desired.revisions.get(spec.revision)
            self._desired.require_boundary(spec.component)
            others = self._desired.specs_of_others(spec.component)
            owner = self._desired.owner(spec.component.environment)
            check_revision(spec, present.spec if present else None, others, owner)
            texts = self._folder.site(spec.component.environment).texts(spec.component.service)
            kept = keep_texts(texts, spec)
            revision = replace(present or DesiredRevision(kept), spec=kept, removed_at=None)
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

        folder = self._folder.site(component.environment)

        async def is_in_force() -> bool:
            try:
                in_force = await EnvoyAdmin(folder.edge).weights(component.service)
            except TrafficUnavailable:
                return False
            return in_force == after.weights

        otherwise = f"the weights of {component.module} are not in force yet"
        async with explained(folder):
            await wait_until(is_in_force, self._clock, WAIT_S, otherwise)

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        def request_removal(desired: DesiredComponent) -> DesiredComponent:
            check_removal(component, revision, desired.weights)
            present = desired.revisions.get(revision)
            if present is None or present.removed_at is not None:
                return desired
            return _with_revision(desired, replace(present, removed_at=self._clock.now()))

        await self._update(component, fence, request_removal)

    async def ensure_boundary(self, spec: BoundarySpec, fence: Fence) -> None:
        require_kept(spec, self._capabilities)
        await self._write(self._desired.write_boundary, spec, fence)

    async def delete_boundary(
        self, environment: EnvironmentId, tenant: TenantId, fence: Fence
    ) -> None:
        now = self._clock.now()
        await self._write(self._desired.remove_boundary, environment, tenant, fence, now)

    @reading
    async def read_boundary(self, environment: EnvironmentId, tenant: TenantId) -> Boundary | None:
        site = self._folder.site(environment)
        return await asyncio.to_thread(live_boundary, site, environment, tenant)

    @reading
    async def attempt_isolation(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> tuple[LayerAttempts, ...] | None:
        site = self._folder.site(environment)
        return None if wanted_site(site) is None else await self._attempts.run(site, tenant)

    def capabilities(self) -> Capabilities:
        return self._capabilities

    @reading
    async def read_site(self, environment: EnvironmentId) -> Site | None:
        folder = self._folder.site(environment)
        site = folder.site()
        if site is None or (not site.is_wanted and not folder.edge.exists()):
            return None
        servers = await asyncio.to_thread(live_servers, folder, site.spec.servers)
        is_ready = site.is_wanted and await EnvoyAdmin(folder.edge).is_ready()
        is_ready = is_ready and all(server.is_ready for server in servers)
        url = f"http://127.0.0.1:{site.public_port}/"
        volumes = await asyncio.to_thread(live_data_folders, folder)
        facts = site.spec.facts
        return Site(environment, url, is_ready, facts, site.fence, servers, volumes=volumes)

    @reading
    async def observe(self, component: SurfaceComponent) -> LiveComponent | None:
        documents = self._documents(component)
        if documents is None:
            return None
        folder, _, desired = documents
        weights: Mapping[ServiceId, Mapping[int, int]] = {}
        if desired.has_port:
            async with explained(folder):
                _, weights = await EnvoyAdmin(folder.edge).route_table()
        return live_component(*documents, weights)

    @reading
    async def inventory(self, environment: EnvironmentId) -> Inventory | None:
        folder = self._folder.site(environment)
        site = wanted_site(folder)
        if site is None:
            return None
        self._require_supervision()
        weights: Mapping[ServiceId, Mapping[int, int]] | None = None
        components, unread = [], []
        for service in folder.services():
            try:
                desired = folder.component(service)
                if desired is None or not desired.revisions:
                    continue
                if desired.has_port and weights is None:
                    async with explained(folder):
                        _, weights = await EnvoyAdmin(folder.edge).route_table()
                components.append(live_component(folder, site, desired, weights or {}))
            except CorruptStateFile as corrupt:
                unread.append(Unread(str(corrupt), service))
        return Inventory(tuple(sorted(components, key=_by_component)), tuple(unread))

    @reading
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

    @reading
    async def traffic(self, component: SurfaceComponent) -> TrafficSample | None:
        documents = self._documents(component)
        if documents is None or not documents[2].has_port:
            return None
        folder, _, _ = documents
        epoch = started_token(folder.edge)
        counters = await EnvoyAdmin(folder.edge).traffic(component.service)
        return TrafficSample(self._clock.now(), epoch, counters)

    @reading
    async def properties(self, component: SurfaceComponent) -> Mapping[int, Properties] | None:
        documents = self._documents(component)
        if documents is None:
            return None
        folder, _, desired = documents
        weights = desired.weights
        if desired.has_port:
            weights = await EnvoyAdmin(folder.edge).weights(component.service)
        return {
            number: revision_properties(revision.spec, weight=weights.get(number, 0))
            for number, revision in desired.revisions.items()
        }

    @reading
    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> tuple[str, ...] | None:
        if instance in {".", ".."} or "/" in instance or "\0" in instance:
            return None
        site = self._folder.site(component.environment)
        folder = InstanceFolder(site.instances(component.service) / instance)
        return await asyncio.to_thread(folder.tail, tail)

    @reading
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
        site = wanted_site(folder)
        if site is None:
            return None
        self._require_supervision()
        desired = folder.component(component.service)
        return (folder, site, desired) if desired is not None and desired.revisions else None

    def _require_supervision(self) -> None:
        """Raises Unreadable: nobody has looked at the instances yet."""
        if not self._has_seen_all.is_set():
            raise Unreadable("no supervisor runs for this surface at the moment")

    async def _update(
        self,
        component: SurfaceComponent,
        fence: Fence,
        decide: Callable[[DesiredComponent], DesiredComponent],
    ) -> DesiredComponent:
        """Write the result of *decide*; the fence is recorded even if *decide* refuses."""
        return await self._write(self._desired.write_component, component, fence, decide)

    async def _write(self, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write desired state, and notify the supervisor. Raises Unavailable: it is corrupt."""
        try:
            after = await asyncio.to_thread(write, *args, **kwargs)
        except CorruptStateFile as corrupt:
            raise Unavailable(f"the surface's state is corrupt: {corrupt}") from corrupt
        self._notifier.notify()
        return after


def _by_component(live: LiveComponent) -> SurfaceComponent:
    return live.component


def _with_revision(desired: DesiredComponent, revision: DesiredRevision) -> DesiredComponent:
    return replace(desired, revisions={**desired.revisions, revision.spec.revision: revision})
