"""A service as its surface shows it."""

from collections.abc import Mapping
from dataclasses import field

from function_apps.drift.model.planes import Planes
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class LiveService:
    """A complete read of a service; a revision that is on its way out is not in it."""

    revisions: Mapping[int, Planes] = field(default_factory=dict)
    versions: Mapping[int, str] = field(default_factory=dict)
    departures: tuple[str, ...] | None = ()
    """Instances that are not what their release says; None when not all could be asked."""


@dataclass(frozen=True)
class ServiceReading:
    """A service as it was read, and the fence that was there after it."""

    live: LiveService = field(default_factory=LiveService)
    fence: int = 0
