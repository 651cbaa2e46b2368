"""Figures of what a service has committed: operations, deployments that ended, health.

Imported where an exporter is configured. What several instances count is to be added up.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.contracts.deployments import DeploymentEnded, DeploymentStatus
from shared.contracts.health import HealthCheckCompleted, HealthStatus
from shared.kernel.ids import instant_of, parse_id
from shared.kernel.operation import TERMINAL
from shared.messaging.outbox import Publish, Row
from shared.persistence.codec import Put
from shared.persistence.store import Body
from shared.telemetry.names import (
    DEPLOYMENT_DURATION,
    HEALTH_STATUS,
    KIND,
    OPERATION_DURATION,
    OPERATIONS,
    ROLLBACK_RATE,
    STATE,
)
from shared.telemetry.work import Telemetry

RELEASES: Final = 100
HEARD_WITHIN: Final = timedelta(minutes=15)
"""Health repeats itself every five minutes."""
_SERVICES_MAX: Final = 100_000
"""Ten environments as large as the largest that was tried."""
_IN_FORCE: Final = frozenset({DeploymentStatus.COMPLETED, DeploymentStatus.ROLLED_BACK})


class CommitFigures:
    """The figures of one service, recorded by *telemetry*."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._were_rolled_back: deque[bool] = deque(maxlen=RELEASES)
        self._health: dict[str, tuple[HealthStatus, datetime]] = {}

    def committed(
        self,
        writes: Sequence[object],
        outbox: Sequence[Row],
        before: Callable[[str], Body | None],
        now: datetime,
    ) -> None:
        """Record what *writes* and *outbox* changed; *before* has the documents as they were."""
        for write in writes:
            if isinstance(write, Put) and write.body.get("type") == "operation":
                earlier = before(write.id)
                if earlier is None or earlier.get("status") != write.body["status"]:
                    self._operation(write, now)
        for row in outbox:
            match row:
                case Publish(DeploymentEnded() as event):
                    self._ended(event)
                case Publish(HealthCheckCompleted(gate_id=None) as event):
                    self._checked(event, now)
                case _:
                    pass

    def _operation(self, write: Put, now: datetime) -> None:
        body = write.body
        attributes = {KIND: body["kind"], STATE: body["status"]}
        self._telemetry.add(OPERATIONS, 1, attributes)
        if body["status"] in TERMINAL:
            took = now - datetime.fromisoformat(body["created_at"])
            self._telemetry.add(OPERATION_DURATION, took.total_seconds(), attributes)

    def _ended(self, event: DeploymentEnded) -> None:
        began_at = instant_of(parse_id(event.deployment_id, "dep").rest)
        took_s = (event.ended_at - began_at).total_seconds()
        attributes = {KIND: event.kind.value, STATE: event.status.value}
        self._telemetry.add(DEPLOYMENT_DURATION, took_s, attributes)
        if event.status in _IN_FORCE:
            self._were_rolled_back.append(event.status is DeploymentStatus.ROLLED_BACK)
            rate = sum(self._were_rolled_back) / len(self._were_rolled_back)
            self._telemetry.add(ROLLBACK_RATE, rate, {})

    def _checked(self, event: HealthCheckCompleted, now: datetime) -> None:
        known = self._health
        known.pop(event.service_id, None)  # again at the end: the longest silent stand first
        known[event.service_id] = (event.status, now)
        while len(known) > _SERVICES_MAX or next(iter(known.values()))[1] < now - HEARD_WITHIN:
            del known[next(iter(known))]
        counts = Counter(status for status, _ in known.values())
        for status in HealthStatus:
            self._telemetry.add(HEALTH_STATUS, counts[status], {STATE: status.value})
