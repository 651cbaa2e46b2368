"""The parts of an app in Azure, opened from its settings through Microsoft's SDKs.

The adapters of parts that not every app has are imported where they are opened: the package of an
app has those only that it asks for (`tools/app_modules.py`).
AKS is the one surface of Azure so far, and there is no Pulumi engine: an app that needs what is not
there ends with its name.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from shared.composition.embedded import is_embedded
from shared.composition.identity import Identity
from shared.composition.keys import key_source
from shared.composition.parts import PartNotSupported
from shared.composition.settings import Settings
from shared.contracts.storage import DATABASE
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import Entropy, SystemEntropy
from shared.messaging.broker import MessageSender
from shared.messaging.service_bus import ServiceBusMessages
from shared.persistence.azure_tables import AzureTable
from shared.persistence.cosmos_account import CosmosAccount, string_parts
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.storage_account import StorageAccount
from shared.persistence.store import Store
from shared.persistence.tables import Table
from shared.web.authentication import KeySource

if TYPE_CHECKING:
    from shared.composition.cluster import Clusters
    from shared.contracts.metrics import MetricSource
    from shared.images.port import Images
    from shared.infrastructure.port import InfrastructureEngine
    from shared.messaging.dead_letters import DeadLetters
    from shared.metrics.port import Metrics
    from shared.persistence.blobs import Blobs
    from shared.surfaces.port import Surface
    from shared.vault.port import SecretVault, Vaults


class AzureParts:
    """The `Parts` of one app, opened with its managed identity."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._identity = Identity(settings.client_id, takes_sign_in=settings.is_local)
        self.clock: Clock = SystemClock()
        self.entropy: Entropy = SystemEntropy()
        self.host_has_spans = not is_embedded()

    @cached_property
    def _account(self) -> CosmosAccount:
        settings = self._settings
        if settings.cosmos is not None:
            endpoint, key = string_parts(settings.cosmos.get_secret_value())
            return CosmosAccount(endpoint, key=key, ca_file=settings.ca_file)
        assert settings.cosmos_endpoint, "read_settings asks for it"
        return CosmosAccount(
            settings.cosmos_endpoint, credential=self._identity, ca_file=settings.ca_file
        )

    def store(self, container: str) -> Store:
        return CosmosStore(self._account, DATABASE, container)

    @cached_property
    def _storage(self) -> StorageAccount:
        settings = self._settings
        if settings.storage is not None:
            return StorageAccount(
                connection_string=settings.storage.get_secret_value(), ca_file=settings.ca_file
            )
        return StorageAccount(
            tables=settings.storage_tables,
            blobs=settings.storage_blobs,
            credential=self._identity,
            ca_file=settings.ca_file,
        )

    def table(self, name: str) -> Table:
        return AzureTable(self._storage, name)

    def blobs(self, container: str) -> "Blobs":
        from shared.persistence.azure_blobs import AzureBlobs  # noqa: PLC0415  not every app's

        return AzureBlobs(self._storage, container, self.entropy)

    def vault(self) -> "SecretVault":
        from shared.vault.key_vault import KeyVault  # noqa: PLC0415  not every app's

        assert self._settings.vault, "read_settings asks for it"
        return KeyVault(
            self._settings.vault, credential=self._identity, ca_file=self._settings.ca_file
        )

    def vaults(self) -> "Vaults":
        from shared.vault.key_vaults import KeyVaults  # noqa: PLC0415  not every app's

        settings = self._settings
        return KeyVaults(
            settings.vault_suffix,
            own=settings.vault,
            credential=self._identity,
            ca_file=settings.ca_file,
        )

    @cached_property
    def _messages(self) -> ServiceBusMessages:
        settings = self._settings
        if settings.service_bus is not None:
            return ServiceBusMessages(connection_string=settings.service_bus.get_secret_value())
        return ServiceBusMessages(
            settings.service_bus_namespace, credential=self._identity, ca_file=settings.ca_file
        )

    def sender(self) -> MessageSender:
        return self._messages

    def dead_letters(self) -> "DeadLetters":
        from shared.messaging.service_bus_dead_letters import (  # noqa: PLC0415  not every app's
            ServiceBusDeadLetters,
        )

        return ServiceBusDeadLetters(self._messages.connection)

    def keys(self) -> KeySource:
        return key_source(self._settings)

    @cached_property
    def _clusters(self) -> "Clusters":
        from shared.composition.cluster import Clusters  # noqa: PLC0415  not every app's

        return Clusters(self.clock)

    def surfaces(self) -> "Mapping[ComputeTargetKind, Surface]":
        from shared.surfaces.local_process import AgentSurface  # noqa: PLC0415  not every app's

        surfaces: dict[ComputeTargetKind, Surface] = {
            **self._clusters.surfaces(self._settings, self._identity)
        }
        if self._settings.agent_folder is not None:
            agent = AgentSurface(self._settings.agent_folder, _start_no_agent, self.clock)
            surfaces[ComputeTargetKind.LOCAL_PROCESS] = agent
        if not surfaces:
            _not_supported(
                "a surface: neither RUNTIME_AGENT_FOLDER, RUNTIME_AKS_CLUSTER_ID nor"
                " RUNTIME_KUBECONFIG is set"
            )
        return surfaces

    def metrics(self, source: "MetricSource") -> "Metrics":
        from shared.composition.metrics import open_metrics  # noqa: PLC0415  not every app's

        return open_metrics(source, self._settings, self.clock, self._identity, self.surfaces)

    def images(self) -> "Images":
        from shared.composition.images import image_registries  # noqa: PLC0415  not every app's

        return image_registries(self._settings, self.clock, self._identity)

    def engine(self) -> "InfrastructureEngine":
        from shared.infrastructure.remote_engine import (  # noqa: PLC0415  not every app's
            RemoteEngine,
        )

        if self._settings.engine_folder is None:
            _not_supported("the Pulumi engine, which is not built: without RUNTIME_ENGINE_FOLDER")
        return RemoteEngine(self._settings.engine_folder, self.clock)

    def gateway(self) -> str:
        assert self._settings.gateway_url, "read_settings asks for it"
        return self._settings.gateway_url


def _start_no_agent() -> None:
    """Do nothing: whoever set the folder runs the agent."""


def _not_supported(part: str) -> NoReturn:
    raise PartNotSupported(
        f"the Azure composition does not have {part} yet: start the app inside the embedded host"
        " with `runtimectl up`, or `RUNTIME_PROFILE=local python -m local_host`"
    )
