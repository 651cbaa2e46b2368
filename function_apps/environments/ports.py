"""What environments needs from outside."""

from dataclasses import dataclass
from datetime import timedelta

from shared.infrastructure.port import InfrastructureEngine
from shared.service import Service


@dataclass(frozen=True)
class EnvironmentRules:
    """Numbers that a profile may shorten."""

    drain_timeout: timedelta = timedelta(minutes=10)
    """How long a decommissioning waits for deployments to drain the environment."""


@dataclass(frozen=True)
class EnvironmentsApp:
    """The service's own parts and the engine that owns every stack."""

    service: Service
    engine: InfrastructureEngine
    rules: EnvironmentRules = EnvironmentRules()
