"""The alerts of a service, and what each is about."""

from dataclasses import dataclass
from typing import Final

from shared.contracts.alerts import Alert
from shared.contracts.health import HealthStatus

OF_STATUS: Final = {
    Alert.UNHEALTHY: HealthStatus.UNHEALTHY,
    Alert.DEGRADED: HealthStatus.DEGRADED,
}
OF_BURN: Final = (Alert.FAST_BURN, Alert.SLOW_BURN)


@dataclass(frozen=True)
class AlertState:
    """Since when an alert is raised; `raised_at` None: it is not. `revision` counts both ways."""

    revision: int = 0
    raised_at: str | None = None
