"""The ports of environments, and the numbers of its rules."""

from dataclasses import dataclass
from datetime import timedelta

from shared.composition.service import Service
from shared.infrastructure.port import InfrastructureEngine


@dataclass(frozen=True)
class EnvironmentRules:
    """Numbers that a profile may shorten."""

    drain_timeout: timedelta = timedelta(minutes=10)
    """How long a decommissioning waits for deployments to drain the environment."""
    observe_for_s: float = 20.0
    """One activity watches a run for so long before the orchestration polls again."""
    observe_every_s: float = 1.0


@dataclass(frozen=True)
class EnvironmentsApp:
    """The service's own parts and the engine that owns every stack."""

    service: Service
    engine: InfrastructureEngine
    rules: EnvironmentRules = EnvironmentRules()
