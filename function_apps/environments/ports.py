"""The ports of environments, and the numbers of its rules."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.infrastructure.port import InfrastructureEngine


@dataclass(frozen=True)
class EnvironmentsRules:
    """The numbers of the service; the local profile shortens the waits."""

    drain_timeout: timedelta = timedelta(minutes=10)
    """A decommissioning waits so long for deployments to drain the environment."""
    observe_for_s: float = 20.0
    """One activity watches a run for so long before the orchestration polls again."""
    observe_every_s: float = 1.0


LOCAL_RULES: Final = EnvironmentsRules(drain_timeout=timedelta(seconds=60), observe_every_s=0.1)


@dataclass(frozen=True)
class EnvironmentsApp:
    """The service's own parts and the engine that owns every stack."""

    service: Service
    engine: InfrastructureEngine
    rules: EnvironmentsRules = field(default_factory=EnvironmentsRules)
