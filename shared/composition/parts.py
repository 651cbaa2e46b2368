"""The parts that a service is built from, as one protocol.

`azure.py` implements it over connections, `local_host/embedded_parts.py` in the embedded host. No
service imports either; `build(settings, parts)` in each `function_app.py` takes what it needs from
here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from shared.kernel.errors import Invalid

if TYPE_CHECKING:  # an app imports the ports that it uses, at a cold start too
    from shared.contracts.metrics import MetricSource
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
    from shared.surfaces.port import Surface
    from shared.vault.port import SecretVault, Vaults
    from shared.web.authentication import KeySource


class PartNotSupported(Invalid):
    """This composition has no such part; the app does not start."""


class Parts(Protocol):
    """Every method opens its part, or returns the open one.

    Each raises PartNotSupported where the composition has no such part, and Invalid where a setting
    it needs is missing.
    """

    @property
    def clock(self) -> "Clock": ...

    @property
    def entropy(self) -> "Entropy": ...

    @property
    def host_has_spans(self) -> bool:
        """Whether the Functions host records spans of its own, below which ours belong."""
        ...

    def store(self, container: str) -> "Store":
        """Return the container of one service in the database `runtime`."""
        ...

    def table(self, name: str) -> "Table": ...

    def blobs(self, container: str) -> "Blobs": ...

    def sender(self) -> "MessageSender": ...

    def dead_letters(self) -> "DeadLetters": ...

    def vault(self) -> "SecretVault":
        """Return the vault of the platform's own secrets."""
        ...

    def vaults(self) -> "Vaults":
        """Return the vaults of environments, by their URLs."""
        ...

    def keys(self) -> "KeySource":
        """Return the keys that tokens are signed with."""
        ...

    def surfaces(self) -> "Mapping[ComputeTargetKind, Surface]":
        """Return the surfaces of this installation: where workloads can run."""
        ...

    def metrics(self, source: "MetricSource") -> "Metrics":
        """Return the provider of measurements *source*."""
        ...

    def images(self) -> "Images":
        """Return what asks the registries of container images."""
        ...

    def engine(self) -> "InfrastructureEngine": ...

    def gateway(self) -> str:
        """Return the URL under which all apps answer."""
        ...
