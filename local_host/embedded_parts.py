"""The embedded host as the apps in its process see it: their parts are its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from local_host.agent_process import AgentProcess
from shared.composition.keys import key_source
from shared.composition.parts import PartNotSupported
from shared.composition.settings import Settings
from shared.contracts.metrics import MetricSource
from shared.contracts.storage import DATABASE
from shared.contracts.values import ComputeTargetKind
from shared.images.port import Images
from shared.infrastructure.port import InfrastructureEngine
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.messaging.broker import MessageSender
from shared.messaging.dead_letters import DeadLetters
from shared.metrics.port import Metrics
from shared.persistence.blobs import Blobs
from shared.persistence.store import Store
from shared.persistence.tables import Table
from shared.surfaces.local_process import INFRASTRUCTURE, AgentSurface
from shared.surfaces.port import Sites, Surface
from shared.vault.port import SecretVault, Vaults
from shared.web.authentication import KeySource

if TYPE_CHECKING:
    from local_cloud.vault.local_vaults import LocalVaults
    from shared.composition.cluster import Clusters

DEV_KEYS: Final = "issuer/jwks.json"


class Storage(Protocol):
    """Opens, or returns the already open, parts of the embedded storage and Cosmos accounts."""

    def store(self, database: str, container: str) -> Store: ...

    def table(self, name: str) -> Table: ...

    def blobs(self, container: str) -> Blobs: ...


@dataclass(frozen=True)
class EmbeddedHost:
    """One host's clock, broker and storage. `folder` is its state folder."""

    clock: Clock
    entropy: Entropy
    sender: MessageSender
    storage: Storage
    folder: Path
    dead_letters: DeadLetters | None = None

    @cached_property
    def agent(self) -> AgentProcess:
        """The agent of the folder, which runs once an app has asked for its surface."""
        return AgentProcess(self.folder, self.clock)

    @cached_property
    def clusters(self) -> "Clusters":
        """The surfaces on clusters, which the apps of this process share."""
        from shared.composition.cluster import Clusters  # noqa: PLC0415  where there is one

        return Clusters(self.clock)

    @cached_property
    def vaults(self) -> "LocalVaults":
        """The vaults of environments, which the apps of this process share."""
        from local_cloud.vault.local_vaults import LocalVaults  # noqa: PLC0415  as it is asked for
        from local_cloud.vault.vault import Vaults as VaultFiles  # noqa: PLC0415  as above

        return LocalVaults(VaultFiles(self.folder / "vaults", self.clock, self.entropy), DATABASE)

    async def close(self) -> None:
        """Close what the apps have opened of clusters and vaults."""
        if "vaults" in vars(self):
            self.vaults.close()
        if "clusters" in vars(self):
            await self.clusters.close()

    def parts(self, settings: Settings) -> "EmbeddedParts":
        """Return the parts of the app that *settings* describe."""
        return EmbeddedParts(self, settings)


class EmbeddedParts:
    """The `Parts` of one app in *host*."""

    def __init__(self, host: EmbeddedHost, settings: Settings) -> None:
        self.host = host
        self.settings = settings
        self.clock = host.clock
        self.entropy = host.entropy
        self.host_has_spans = False

    def store(self, container: str) -> Store:
        return self.host.storage.store(DATABASE, container)

    def table(self, name: str) -> Table:
        return self.host.storage.table(name)

    def blobs(self, container: str) -> Blobs:
        return self.host.storage.blobs(container)

    def vault(self) -> SecretVault:
        return self.host.vaults.platform()

    def vaults(self) -> Vaults:
        return self.host.vaults

    def sender(self) -> MessageSender:
        return self.host.sender

    def dead_letters(self) -> DeadLetters:
        if self.host.dead_letters is None:
            raise PartNotSupported("this host has no broker that keeps dead letters")
        return self.host.dead_letters

    def keys(self) -> KeySource:
        return key_source(self.settings, self.host.folder / DEV_KEYS)

    def surfaces(self) -> Mapping[ComputeTargetKind, Surface]:
        from shared.composition.identity import Identity  # noqa: PLC0415  for the apps that ask

        identity = Identity(self.settings.client_id, takes_sign_in=self.settings.is_local)
        clusters = self.host.clusters.surfaces(self.settings, identity)
        return {ComputeTargetKind.LOCAL_PROCESS: self._local_process(), **clusters}

    def metrics(self, source: MetricSource) -> Metrics:
        from shared.composition.identity import Identity  # noqa: PLC0415  for the apps that ask
        from shared.composition.metrics import open_metrics  # noqa: PLC0415

        identity = Identity(self.settings.client_id, takes_sign_in=self.settings.is_local)
        return open_metrics(source, self.settings, self.clock, identity, self.surfaces)

    def images(self) -> Images:
        from shared.composition.identity import Identity  # noqa: PLC0415  for the apps that ask
        from shared.composition.images import image_registries  # noqa: PLC0415

        identity = Identity(self.settings.client_id, takes_sign_in=self.settings.is_local)
        return image_registries(self.settings, self.host.clock, identity)

    def engine(self) -> InfrastructureEngine:
        # Brings the providers of the local surface.
        from local_cloud.infrastructure.embedded import embedded_engine  # noqa: PLC0415
        from shared.composition.identity import Identity  # noqa: PLC0415

        identity = Identity(self.settings.client_id, takes_sign_in=self.settings.is_local)
        sites: dict[ComputeTargetKind, Sites] = {
            ComputeTargetKind.LOCAL_PROCESS: self._local_process(),
            **self.host.clusters.surfaces(self.settings, identity),
        }
        folder = self.host.folder / INFRASTRUCTURE
        return embedded_engine(folder, sites, self.host.vaults, self.host.clock, self.entropy)

    def _local_process(self) -> AgentSurface:
        agent = self.host.agent
        agent.is_wanted = True
        return AgentSurface(self.host.folder, agent.ensure, self.host.clock)

    def gateway(self) -> str:
        """Return the given gateway; on one machine, without it, the host of this app."""
        return self.settings.gateway_url or f"http://{self.settings.hostname}"
