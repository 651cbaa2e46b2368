"""The dependencies of catalog."""

from dataclasses import field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.catalog import CatalogDefaults
from shared.kernel.dataclass import dataclass
from shared.surfaces.port import ComponentReader


@dataclass(frozen=True)
class CatalogRules:
    """The numbers of the service; the local profile shortens the waits."""

    inventory: CatalogDefaults = field(default_factory=CatalogDefaults)


LOCAL_RULES: Final = CatalogRules(
    CatalogDefaults(sweep=timedelta(seconds=5), stale_after=timedelta(seconds=30))
)


@dataclass(frozen=True)
class CatalogApp:
    """The parts of the service; `surface` reads all surfaces of the installation."""

    service: Service
    surface: ComponentReader
    rules: CatalogRules = field(default_factory=CatalogRules)
