"""The states of a service in the inventory, and what leads from one to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.contracts.catalog import ServiceStatus

Status = ServiceStatus


@dataclass(frozen=True)
class ServiceEvent:
    """Something that happened to a service."""


@dataclass(frozen=True)
class Released(ServiceEvent):
    """A deployment ended and this is what runs, proved."""


@dataclass(frozen=True)
class Observed(ServiceEvent):
    """A complete read of the surface: so many instances ready of so many wanted."""

    ready: int
    wanted: int


@dataclass(frozen=True)
class Unseen(ServiceEvent):
    """It has not been observed for longer than the limit."""


@dataclass(frozen=True)
class Removed(ServiceEvent):
    """Nothing of it runs any more, on purpose."""


_SEEN: Final = frozenset({Status.RUNNING, Status.DEGRADED, Status.UNAVAILABLE})
_ANY: Final[Mapping[type[ServiceEvent], frozenset[Status]]] = MappingProxyType(
    {
        Released: frozenset({Status.RUNNING}),
        Observed: _SEEN,
        Unseen: frozenset({Status.UNKNOWN}),
        Removed: frozenset({Status.RETIRED}),
    }
)

# What is not in this table cannot happen. A retired service comes back with a release only, and
# where that is heard of late, as what has been seen of it since.
TRANSITIONS: Final[Mapping[Status, Mapping[type[ServiceEvent], frozenset[Status]]]] = (
    MappingProxyType(
        {
            Status.DEPLOYING: _ANY,
            Status.RUNNING: _ANY,
            Status.DEGRADED: _ANY,
            Status.UNAVAILABLE: _ANY,
            Status.UNKNOWN: _ANY,
            Status.RETIRED: {Released: _SEEN | {Status.UNKNOWN}},
        }
    )
)


def status_after(event: ServiceEvent) -> Status:
    """Return the status that *event* says by itself; running needs a healthy instance."""
    match event:
        case Observed(ready, wanted):
            if ready == 0:
                return Status.UNAVAILABLE
            return Status.RUNNING if ready >= wanted else Status.DEGRADED
        case Unseen():
            return Status.UNKNOWN
        case Removed():
            return Status.RETIRED
        case _:
            return Status.RUNNING
