"""The status of a service in the inventory, and the events that decide it.

The inventory is an observed record, so any status may follow any other and no transition table is
needed. Only a release brings a retired service back.
"""

from shared.contracts.catalog import ServiceStatus
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class ServiceEvent:
    """Something that happened to a service."""


@dataclass(frozen=True)
class Released(ServiceEvent):
    """A deployment ended, and its proof shows this release running."""


@dataclass(frozen=True)
class Observed(ServiceEvent):
    """A complete scan of the surface: the number of instances that are ready, and wanted."""

    ready: int
    wanted: int


@dataclass(frozen=True)
class ObservationExpired(ServiceEvent):
    """The last observation is older than the limit."""


@dataclass(frozen=True)
class Removed(ServiceEvent):
    """The service was removed on purpose."""


def status_after(event: ServiceEvent) -> ServiceStatus:
    """Return the status that *event* alone gives; Running needs a ready instance."""
    match event:
        case Observed(ready, wanted):
            if ready == 0:
                return ServiceStatus.UNAVAILABLE
            return ServiceStatus.RUNNING if ready >= wanted else ServiceStatus.DEGRADED
        case ObservationExpired():
            return ServiceStatus.UNKNOWN
        case Removed():
            return ServiceStatus.RETIRED
        case _:
            return ServiceStatus.RUNNING
