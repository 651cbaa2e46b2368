"""The ports of tenants, and the numbers of its rules."""

from dataclasses import dataclass, field
from typing import Final

from shared.composition.service import Service


@dataclass(frozen=True)
class TenantsRules:
    """The numbers of the service; the local profile shortens the waits."""


LOCAL_RULES: Final = TenantsRules()


@dataclass(frozen=True)
class TenantsApp:
    """The service's own parts."""

    service: Service
    rules: TenantsRules = field(default_factory=TenantsRules)
