"""What happened in a run: commits, messages, answers; broken promises are noted as they happen."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from local_host.model import HttpAnswer
from shared.kernel.operation import SUPERSEDED
from shared.messaging.broker import OutgoingMessage
from shared.persistence.store import BatchOperation, Body, Delete, Partition
from shared.surfaces.spec import SurfaceComponent
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.virtual_time import LoopClock
from tests.simulator.commit_checks import CommitChecks
from tests.simulator.idle_timers import IdleTimers
from tests.simulator.marks import SEEN
from tests.simulator.tenant_checks import TenantChecks

_DEFECTS_FROM: Final = 500
_AWAY: Final = 503
_NOT_FOUND: Final = 404
BROKEN_MAX: Final = 20
PROMISES: Final[Mapping[str, str]] = {
    "1": "nothing accepted is lost",
    "2": "one effect for an event, one active result for a key",
    "3": "revisions never go back",
    "4": "only the transitions of the table",
    "5": "a release is whole",
    "6": "one change in flight, and no stale writer",
    "7": "no data crosses tenants",
    "8": "no secret outside its vault",
    "9": "no consumer without a valid secret",
    "10": "traffic to ready instances only",
    "11": "drift is not the platform's own work",
    "12": "the audit trail is whole",
    "13": "all comes to rest",
    "14": "a failed read changes nothing",
    "15": "what a binding or the policy for prod forbids is not done",
}
"""The invariants of the platform, by the number that the design gives them; the last is ours."""


@dataclass(frozen=True)
class Broken:
    """A promise that was broken: when, its number, and how that showed."""

    at: datetime
    number: str
    why: str

    @property
    def line(self) -> str:
        return f"{PROMISES[self.number]} ({self.number}): {self.why}"

    def __str__(self) -> str:
        return f"{self.at:%d %H:%M:%S}  {self.line}"


@dataclass
class History:
    """The record of one run."""

    clock: LoopClock
    cluster: MemoryCluster
    broken: list[Broken] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    """How often each state, event, error and answer came up."""
    accepted: list[tuple[str, str]] = field(default_factory=list)
    """Tenant and place of each operation that was promised."""
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Tenant and text of each message and answer."""
    shared: set[tuple[str, str]] = field(default_factory=set)
    """Tenant and environment of another that admits it: its id is known to both."""
    changed_by_hand: set[tuple[str, str]] = field(default_factory=set)
    """Environment and module of what somebody changed behind the platform's back."""
    logged: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    """Each value that was ever put into a vault."""
    left: dict[str, str] = field(default_factory=dict)
    """Where each message went, by event id."""
    tokens: dict[SurfaceComponent, int] = field(default_factory=dict)
    """The highest token of a fence with which each component was written."""
    weights: dict[SurfaceComponent, dict[int, int]] = field(default_factory=dict)
    """As the platform set them last."""
    marks: Counter[str] = field(default_factory=Counter)
    digest: Any = field(default_factory=hashlib.sha256)
    _said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.commits = CommitChecks(self)
        self.tenants = TenantChecks(self)
        self.idle = IdleTimers(self.clock)

    def broke(self, number: str, why: str) -> None:
        """Note that the promise *number* was broken now."""
        broken = Broken(self.clock.now(), number, why)
        if len(self.broken) < BROKEN_MAX and broken.line not in self._said:
            self._said.add(broken.line)
            self.broken.append(broken)

    def note(self, line: str) -> None:
        """Add *line* to what two runs of one seed must have in common."""
        self.digest.update(f"{self.clock.monotonic_s():.6f} {line}\n".encode())

    def tampered(self, component: SurfaceComponent, change: str) -> None:
        """Note that somebody made *change* to what runs."""
        self.note(f"{change} of {component} was changed by hand")
        self.reached[f"changed by hand: {change}"] += 1
        if self.is_rolling_out():
            self.sometimes("something was changed by hand during a rollout")
        self.changed_by_hand.add((component.environment, component.module))

    def boundary_changed(self, environment: str, tenant: str) -> None:
        """Note that somebody changed what keeps *tenant* apart in *environment*."""
        self.note(f"the boundary of {tenant} in {environment} was changed by hand")
        self.sometimes("a boundary was changed by hand")
        self.changed_by_hand.add((environment, f"tenancy of {tenant}"))

    def committed(
        self, service: str, partition: Partition, operations: Sequence[BatchOperation]
    ) -> None:
        for operation in operations:
            key = (service, *partition.values, operation.id)
            self.note(f"{type(operation).__name__} {key}")
            if not isinstance(operation, Delete):
                self._count(service, operation.body)
        self.idle.committed(service, partition, operations)
        self.commits.check(service, partition, operations)

    def _count(self, service: str, body: Body) -> None:
        kind, status = str(body.get("type")), str(body.get("status", ""))
        if kind == "operation":
            self.reached[f"operation {body['kind']} {status}"] += 1
            if body.get("waiting_for"):
                self.reached[f"waits for {body['waiting_for']}"] += 1
            if (body.get("error") or {}).get("code") == SUPERSEDED:
                self.sometimes("an operation was superseded")
            return
        if kind == "gate" and body.get("verdict"):
            self.reached[f"gate {body['verdict']}"] += 1
        if kind == "parked":
            self.sometimes("a message was parked")
        if "revision" in body:
            self.reached[f"{service} {kind} {status}".rstrip()] += 1
            self._notice(kind, status, body)

    def _notice(self, kind: str, status: str, body: Body) -> None:
        """Set the marks of what happens during a rollout."""
        during = {
            ("rotation", "Created"): "a secret was rotated during a rollout",
            ("configuration", "Published"): "a configuration was published during a rollout",
            ("environment", "Decommissioning"): "an environment left during a rollout",
            ("tenantBinding", "Suspended"): "a tenant was suspended during a rollout",
        }.get((kind, status))
        if during and self.is_rolling_out():
            self.sometimes(during)
        if kind == "deployment" and (body["tenant_id"], body["environment_id"]) in self.shared:
            self.sometimes("a guest deployed beside the owner")

    def is_rolling_out(self) -> bool:
        """Return whether any deployment changes anything now."""
        return any(self.commits.in_flight.values())

    def sometimes(self, mark: str) -> None:
        """Note that the rare path *mark* was reached."""
        assert mark in SEEN, mark
        self.marks[mark] += 1

    def sent(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        for message in messages:
            envelope = json.loads(message.body)
            self.note(f"sent to {entity} {envelope['eventType']} {envelope['eventId']}")
            self.left[envelope["eventId"]] = entity
            self.reached[f"sent {envelope['eventType']}"] += 1
            if verdict := envelope["payload"].get("verdict"):
                self.reached[f"{envelope['eventType']} {verdict}"] += 1
            self.texts.append((envelope["tenantId"], message.body.decode()))

    def answered(self, tenant: str, method: str, path: str, answer: HttpAnswer) -> None:
        text = answer.body.decode()
        self.note(f"{tenant} {method} {path} {answer.status}")
        assert "no route" not in text, f"{method} {path}: an operator asks for what there is"
        if answer.status != _NOT_FOUND:  # which says what was asked for
            self.texts.append((tenant, text))
        if answer.status >= _DEFECTS_FROM and answer.status != _AWAY:
            self.broke("1", f"{method} {path} was answered {answer.status}: {text[:300]}")
        if method == "GET":
            return
        if dict(answer.headers).get("repeatability-result"):
            self.sometimes("a repeat was answered from its marker")
        code = json.loads(text).get("error", {}).get("code", "") if text else ""
        self.reached[f"{answer.status} {code}".rstrip()] += 1
        where = dict(answer.headers).get("operation-location", "")
        if where and answer.status < 300:
            self.accepted.append((tenant, where))
