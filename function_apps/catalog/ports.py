"""The dependencies of catalog."""

from dataclasses import dataclass, field

from shared.composition.service import Service
from shared.contracts.catalog import CatalogDefaults
from shared.surfaces.port import SurfaceReader


@dataclass(frozen=True)
class CatalogApp:
    """The parts of the service, and the surface that it reads."""

    service: Service
    surface: SurfaceReader
    rules: CatalogDefaults = field(default_factory=CatalogDefaults)
