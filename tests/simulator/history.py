"""What happened in a run: commits, messages, answers; broken promises are noted as they happen."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from function_apps.configurations.model.configuration import TRANSITIONS as OF_A_VERSION
from function_apps.deployments.model.lifecycle import TRANSITIONS as OF_A_DEPLOYMENT
from function_apps.drift.model.finding import TRANSITIONS as OF_A_FINDING
from function_apps.environments.model.lifecycle import TRANSITIONS as OF_AN_ENVIRONMENT
from function_apps.scaling.model.policy import TRANSITIONS as OF_A_POLICY
from function_apps.secret_bindings.model.binding import TRANSITIONS as OF_A_BINDING
from function_apps.secret_bindings.model.rotation import TRANSITIONS as OF_A_ROTATION
from function_apps.tenants.model.binding import TRANSITIONS as OF_A_TENANT
from local_host.model import HttpAnswer
from shared.kernel.transitions import Transitions
from shared.messaging.broker import OutgoingMessage
from shared.persistence.store import BatchOperation, Delete, Partition
from shared.surfaces.spec import SurfaceComponent
from tests.kit.virtual_time import LoopClock

_TABLES: Final[Mapping[tuple[str, str], Transitions[Any, Any]]] = {
    ("environments", "environment"): OF_AN_ENVIRONMENT,
    ("deployments", "deployment"): OF_A_DEPLOYMENT,
    ("secret_bindings", "binding"): OF_A_BINDING,
    ("secret_bindings", "rotation"): OF_A_ROTATION,
    ("configurations", "version"): OF_A_VERSION,
    ("scaling", "policy"): OF_A_POLICY,
    ("tenants", "binding"): OF_A_TENANT,
    ("drift", "finding"): OF_A_FINDING,
}
"""The aggregates whose states have a table, by service and type of their documents."""
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
}
"""The invariants of the platform, by the number that the design gives them."""


@dataclass
class Stored:
    """What is known of one document: its type, its state, and its highest revision."""

    type: str
    status: str
    revision: int


@dataclass
class History:
    """The record of one run. `broken` has the promises that were broken, each with its time."""

    clock: LoopClock
    broken: list[str] = field(default_factory=list)
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
    digest: Any = field(default_factory=hashlib.sha256)
    _said: set[str] = field(default_factory=set)
    _documents: dict[tuple[str, ...], Stored] = field(default_factory=dict)

    def broke(self, number: str, why: str) -> None:
        """Note that the promise *number* was broken now."""
        line = f"{PROMISES[number]} ({number}): {why}"
        if len(self.broken) < BROKEN_MAX and line not in self._said:
            self._said.add(line)
            self.broken.append(f"{self.clock.now():%d %H:%M:%S}  {line}")

    def note(self, line: str) -> None:
        """Add *line* to what two runs of one seed must have in common."""
        self.digest.update(f"{self.clock.monotonic_s():.6f} {line}\n".encode())

    def tampered(self, component: SurfaceComponent, change: str) -> None:
        """Note that somebody made *change* to what runs."""
        self.note(f"{change} of {component} was changed by hand")
        self.reached[f"changed by hand: {change}"] += 1
        self.changed_by_hand.add((component.environment, component.module))

    def committed(
        self, service: str, partition: Partition, operations: Sequence[BatchOperation]
    ) -> None:
        for operation in operations:
            key = (service, *partition.values, operation.id)
            self.note(f"{type(operation).__name__} {key}")
            if isinstance(operation, Delete):
                continue
            body = operation.body
            if body.get("type") == "operation":
                self.reached[f"operation {body['kind']} {body['status']}"] += 1
            if "revision" not in body or body.get("type") == "operation":
                continue
            status = str(body.get("status", ""))
            now = Stored(str(body.get("type")), status, body["revision"])
            self._compare(key, now)
            self._documents[key] = now
            self.reached[f"{service} {now.type} {status}".rstrip()] += 1

    def _compare(self, key: tuple[str, ...], now: Stored) -> None:
        before = self._documents.get(key)
        if before is None or before.type != now.type:
            return
        if now.revision < before.revision:
            self.broke("3", f"revision of {key} went from {before.revision} back to {now.revision}")
        table = _TABLES.get((key[0], now.type))
        if table and now.status != before.status and not _leads(table, before.status, now.status):
            self.broke("4", f"{key} went from {before.status} to {now.status}")

    def sent(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        for message in messages:
            envelope = json.loads(message.body)
            self.note(f"sent to {entity} {envelope['eventType']} {envelope['eventId']}")
            self.reached[f"sent {envelope['eventType']}"] += 1
            self.texts.append((envelope["tenantId"], message.body.decode()))

    def answered(self, tenant: str, method: str, path: str, answer: HttpAnswer) -> None:
        text = answer.body.decode()
        self.note(f"{tenant} {method} {path} {answer.status}")
        if answer.status != _NOT_FOUND:  # which says what was asked for
            self.texts.append((tenant, text))
        if answer.status >= _DEFECTS_FROM and answer.status != _AWAY:
            self.broke("1", f"{method} {path} was answered {answer.status}: {text[:300]}")
        if method == "GET":
            return
        code = json.loads(text).get("error", {}).get("code", "") if text else ""
        self.reached[f"{answer.status} {code}".rstrip()] += 1
        where = dict(answer.headers).get("operation-location", "")
        if where and answer.status < 300:
            self.accepted.append((tenant, where))


def _leads(table: Transitions[Any, Any], before: str, after: str, steps: int = 3) -> bool:
    """Return whether at most *steps* transitions of *table* lead from *before* to *after*."""
    targets = {str(state) for state in table.rows[type(next(iter(table.rows)))(before)].values()}
    return after in targets or (
        steps > 1 and any(_leads(table, each, after, steps - 1) for each in targets - {before})
    )
