"""The ports of tenants, and the numbers of its rules."""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Final, Protocol

from shared.composition.service import Service
from shared.contracts.retention import Retention
from shared.contracts.values import ComputeTargetKind
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Reading
from shared.surfaces.observed_state import Inventory
from shared.surfaces.reader_ports import AttemptReader, BoundaryReader
from shared.vault.signing_keys import SigningKeys

SIGNING_KEY: Final = "erasure-signing-key"
"""The secret of the platform's vault whose versions sign the reports."""


class InventoryReader(Protocol):
    """All that tenants is given of every surface."""

    async def inventory(self, environment: EnvironmentId) -> Reading[Inventory]: ...


@dataclass(frozen=True)
class TenantsRules:
    """The numbers of the service; the local profile shortens the waits."""

    prove_every: timedelta = timedelta(minutes=5)
    """The boundaries of a tenant are looked at again, and what is left of one that was unbound."""
    look_for: timedelta = timedelta(hours=1)
    """A report on an unbound tenant waits so long for looks that get no answer, then names them."""


LOCAL_RULES: Final = TenantsRules(prove_every=timedelta(seconds=15), look_for=timedelta(minutes=1))


@dataclass(frozen=True)
class TenantsApp:
    """The service's own parts, what it reads of surfaces, and the keys that sign its reports."""

    service: Service
    boundaries: Mapping[ComputeTargetKind, BoundaryReader]
    inventories: Mapping[ComputeTargetKind, InventoryReader]
    signing_keys: SigningKeys
    rules: TenantsRules = field(default_factory=TenantsRules)
    retention: Retention = field(default_factory=Retention)
    attempts: Mapping[ComputeTargetKind, AttemptReader] = field(default_factory=dict)
    """Those that try isolation from inside; without one it is only looked at."""
