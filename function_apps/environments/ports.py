"""The ports of environments, and the numbers of its rules."""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.port import InfrastructureEngine
from shared.kernel.dataclass import dataclass
from shared.policies.prod_policy import ProdPolicy
from shared.surfaces.port import Surface


@dataclass(frozen=True)
class EnvironmentsRules:
    """The numbers of the service; the local profile shortens the waits."""

    drain_timeout: timedelta = timedelta(minutes=10)
    """A decommissioning waits so long for deployments to drain the environment."""
    observe_for_s: float = 20.0
    """One activity watches a run for so long before the orchestration polls again."""
    observe_every_s: float = 1.0
    follow_every: timedelta = timedelta(seconds=30)
    """The environment of a binding is looked at again: its targets, and another tenant's facts."""


LOCAL_RULES: Final = EnvironmentsRules(
    drain_timeout=timedelta(seconds=60), observe_every_s=0.1, follow_every=timedelta(seconds=5)
)


@dataclass(frozen=True)
class EnvironmentsApp:
    """The service's own parts, the engine that owns every stack, and where workloads run.

    On `surfaces` only the boundaries of tenants are changed here.
    """

    service: Service
    engine: InfrastructureEngine
    surfaces: Mapping[ComputeTargetKind, Surface]
    rules: EnvironmentsRules = field(default_factory=EnvironmentsRules)
    prod_policy: ProdPolicy | None = None
    """Without one everything is allowed."""
