"""The parts of an app in Azure. Of these, the Cosmos DB store exists; the others are refused.

An app therefore does not start in Azure yet: it ends with the name of the first missing part.
"""

from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from shared.composition.identity import Identity
from shared.composition.parts import PartNotSupported
from shared.composition.settings import DATABASE, Settings, string_parts
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import Entropy, SystemEntropy
from shared.messaging.broker import MessageSender
from shared.persistence.blobs import Blobs
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.store import Store
from shared.persistence.tables import Table
from shared.surfaces.local_process import LocalProcess
from shared.surfaces.port import Surface
from shared.web.authentication import FileKeys, KeySource

if TYPE_CHECKING:
    from shared.infrastructure.port import InfrastructureEngine


class AzureParts:
    """The `Parts` of one app, opened with its managed identity."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._identity = Identity(settings.client_id, is_local=settings.is_local)
        self.clock: Clock = SystemClock()
        self.entropy: Entropy = SystemEntropy()

    @cached_property
    def _account(self) -> CosmosAccount:
        settings = self._settings
        if settings.cosmos is not None:
            parts = string_parts(settings.cosmos)
            return CosmosAccount(parts["AccountEndpoint"], key=parts["AccountKey"])
        assert settings.cosmos_endpoint, "read_settings asks for it"
        return CosmosAccount(settings.cosmos_endpoint, credential=self._identity)

    def store(self, container: str) -> Store:
        return CosmosStore(self._account, DATABASE, container)

    def table(self, name: str) -> Table:
        _not_supported(f"Table storage ({name})")

    def blobs(self, container: str) -> Blobs:
        _not_supported(f"Blob storage ({container})")

    def sender(self) -> MessageSender:
        _not_supported("a sender to Service Bus")

    def keys(self) -> KeySource:
        assert self._settings.issuer_keys, "read_settings asks for it"
        return FileKeys(self._settings.issuer_keys)

    def surface(self, kind: ComputeTargetKind) -> Surface:
        if kind is not ComputeTargetKind.LOCAL_PROCESS:
            _not_supported(f"a surface of kind {kind}")
        if self._settings.agent_folder is None:
            _not_supported("a surface of kind LocalProcess without RUNTIME_AGENT_FOLDER")
        return LocalProcess(self._settings.agent_folder, _start_no_agent, self.clock)

    def engine(self) -> "InfrastructureEngine":
        _not_supported("the Pulumi engine")

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
