"""What catalog needs from outside."""

from dataclasses import dataclass, field

from shared.contracts.catalog import CatalogDefaults
from shared.service import Service
from shared.surfaces.port import SurfaceReader


@dataclass(frozen=True)
class CatalogApp:
    """The service's own parts and the surface it reads; it changes nothing outside."""

    service: Service
    surface: SurfaceReader
    rules: CatalogDefaults = field(default_factory=CatalogDefaults)
