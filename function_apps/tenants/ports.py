"""The ports of tenants, and the numbers of its rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.values import ComputeTargetKind
from shared.surfaces.port import Surface


@dataclass(frozen=True)
class TenantsRules:
    """The numbers of the service; the local profile shortens the waits."""

    prove_every: timedelta = timedelta(minutes=5)
    """The boundaries of a tenant are looked at again."""


LOCAL_RULES: Final = TenantsRules(prove_every=timedelta(seconds=15))


@dataclass(frozen=True)
class TenantsApp:
    """The service's own parts, and the surfaces whose boundaries are looked at."""

    service: Service
    surfaces: Mapping[ComputeTargetKind, Surface]
    rules: TenantsRules = field(default_factory=TenantsRules)
