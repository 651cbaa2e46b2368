"""What must hold at each commit of a service, and at each message that leaves it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from function_apps.configurations.model.configuration import TRANSITIONS as OF_A_VERSION
from function_apps.deployments.model.lifecycle import TRANSITIONS as OF_A_DEPLOYMENT
from function_apps.drift.model.finding import TRANSITIONS as OF_A_FINDING
from function_apps.environments.model.lifecycle import TRANSITIONS as OF_AN_ENVIRONMENT
from function_apps.scaling.model.policy import TRANSITIONS as OF_A_POLICY
from function_apps.secret_bindings.model.binding import TRANSITIONS as OF_A_BINDING
from function_apps.secret_bindings.model.rotation import TRANSITIONS as OF_A_ROTATION
from function_apps.tenants.model.binding import TRANSITIONS as OF_A_TENANT
from shared.kernel.transitions import Transitions
from shared.persistence.store import BatchOperation, Body, Create, Delete, Partition

if TYPE_CHECKING:
    from tests.simulator.history import History

TABLES: Final[Mapping[tuple[str, str], Transitions[Any, Any]]] = {
    ("environments", "environment"): OF_AN_ENVIRONMENT,
    ("deployments", "deployment"): OF_A_DEPLOYMENT,
    ("secret_bindings", "binding"): OF_A_BINDING,
    ("secret_bindings", "rotation"): OF_A_ROTATION,
    ("configurations", "version"): OF_A_VERSION,
    ("scaling", "policy"): OF_A_POLICY,
    ("tenants", "tenantBinding"): OF_A_TENANT,
    ("drift", "finding"): OF_A_FINDING,
}
"""The aggregates whose states have a table, by service and type of their documents."""
CHANGING: Final = frozenset({"RollingOut", "HealthGating", "Promoting", "RollingBack"})
OPEN: Final = frozenset({"Open", "Acknowledged", "Remediating", "Escalated"})
Key = tuple[str, ...]


@dataclass
class Stored:
    """What is known of one document: its type, its state, and its highest revision."""

    type: str
    status: str
    revision: int


@dataclass
class CommitChecks:
    """What was committed so far, and what each further batch is held to."""

    history: "History"
    handled: set[tuple[str, str]] = field(default_factory=set)
    """Service and event id of each message that was handled, or parked."""
    rows: dict[str, str] = field(default_factory=dict)
    """The service of each row of an outbox that holds a message, by event id."""
    records: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Service and tenant of each entry for the audit trail."""
    told: set[str] = field(default_factory=set)
    """Each event that an entry for the audit trail says was told."""
    in_flight: dict[Key, set[str]] = field(default_factory=dict)
    """The deployments that change a module of an environment now."""
    _documents: dict[Key, Stored] = field(default_factory=dict)
    _effects: set[Key] = field(default_factory=set)
    _findings: dict[Key, set[str]] = field(default_factory=dict)
    _suppressed: set[str] = field(default_factory=set)

    def check(
        self, service: str, partition: Partition, operations: Sequence[BatchOperation]
    ) -> None:
        """Compare a batch with all before it."""
        bodies = [(each.id, each.body) for each in operations if not isinstance(each, Delete)]
        created = [each.body for each in operations if isinstance(each, Create)]
        records = [body["record"] for body in created if body.get("kind") == "record"]
        changed = [
            (key, body["status"])
            for name, body in bodies
            if self._is_changed(key := (service, *partition.values, name), body)
        ]
        own = [each for each in records if each["tenant"] == partition.tenant]
        if changed and len(own) != 1:
            self.history.broke("12", f"{changed} changed with {len(own)} audit records")
        self._check_trails_of_actors(partition.tenant, records)
        for record in records:
            self._record(service, partition, record)
        for each in operations:
            if isinstance(each, Create):
                self._created(service, each.id, each.body)

    def _check_trails_of_actors(self, tenant: str, records: Sequence[Body]) -> None:
        """Hold *records* of a batch to one for each actor of another tenant, in its own trail."""
        own = [each for each in records if each["tenant"] == tenant]
        actors = Counter(each["actor_tenant"] for each in own if each.get("actor_tenant"))
        trails = Counter(each["tenant"] for each in records if each["tenant"] != tenant)
        targets = {each.get("target_tenant") for each in records if each["tenant"] != tenant}
        if trails != actors or not targets <= {tenant}:
            self.history.broke("12", f"actors {actors} of {tenant}'s data have {trails}, {targets}")

    def _is_changed(self, key: Key, body: Body) -> bool:
        """Check one document of a batch; return whether its state is new or has changed."""
        if "revision" not in body or body.get("type") == "operation":
            return False
        now = Stored(str(body.get("type")), str(body.get("status", "")), body["revision"])
        before, self._documents[key] = self._documents.get(key), now
        self._check_special(key, now, before, body)
        if before is None:
            return (key[0], now.type) in TABLES
        if before.type != now.type:
            return False
        if now.revision < before.revision:
            self.history.broke("3", f"{key} went from {before.revision} back to {now.revision}")
        if now.status == before.status or (key[0], now.type) not in TABLES:
            return False
        if not _leads(TABLES[key[0], now.type], before.status, now.status):
            self.history.broke("4", f"{key} went from {before.status} to {now.status}")
        return True

    def _check_special(self, key: Key, now: Stored, before: Stored | None, body: Body) -> None:
        match key[0], now.type:
            case "deployments", "deployment":
                self._note_rollout(key, now.status, body)
                status = before.status if before else None
                self.history.tenants.note_deployment(key[1], status, body)
            case "deployments", "deploymentTarget":
                self.history.tenants.note_target(key[1], body)
            case "tenants", "tenantBinding":
                self.history.tenants.note_binding(body)
            case "environments", "environment":
                self.history.tenants.note_environment(body)
            case "scaling", "policy":
                self.history.tenants.note_policy(body)
            case "drift", "finding":
                self._note_finding(key, now.status, body)
            case "catalog", "service" if now.status == "Retired":
                if before is None or before.status == "Retired":
                    return
                look = body["rows"].get("observation") or {}
                if look.get("status") == "Retired":
                    self.history.broke("14", f"{key} was retired by a look at its surface")

    def _note_rollout(self, key: Key, status: str, body: Body) -> None:
        for component in body["components"]:
            place = (key[1], body["environment_id"], component["moduleId"])
            others = self.in_flight.setdefault(place, set())
            others.discard(key[-1])
            if status in CHANGING:
                if others:
                    self.history.broke("6", f"{key[-1]} and {others} change {place}")
                others.add(key[-1])

    def _note_finding(self, key: Key, status: str, body: Body) -> None:
        place = (*key[:-1], body["plane"], body["path"])
        known = self._findings.setdefault(place, set())
        known.discard(key[-1])
        if status in OPEN:
            known.add(key[-1])
        if len(known) > 1:
            self.history.broke("11", f"{place} has the open findings {sorted(known)}")
        (self._suppressed.add if status == "Suppressed" else self._suppressed.discard)(
            body["finding_id"]
        )
        what = body["module_id"] or f"{body['plane']} of {body['tenant_id']}"
        touched = (body["environment_id"], what)
        if status in OPEN and touched not in self.history.changed_by_hand:
            self.history.broke("11", f"nobody changed {body['path']} of {touched}: {body}")

    def _record(self, service: str, partition: Partition, record: Body) -> None:
        self.records[record["record_id"]] = (service, record["tenant"])
        self.told.update(each["eventId"] for each in record["events"])
        if record["cause_kind"] not in {"event", "command"}:
            return
        effect = (service, *partition.values, record["cause"], record["action"], record["target"])
        if effect in self._effects:
            self.history.broke("2", f"{effect} had an effect before")
        self._effects.add(effect)

    def _created(self, service: str, name: str, body: Body) -> None:
        if body.get("kind") not in {"publish", "send"} or not name.startswith("outbox/"):
            return
        envelope = body["envelope"]
        if envelope["eventId"] in self.rows:
            self.history.broke("2", f"{envelope['eventId']} of {service} was committed twice")
        self.rows[envelope["eventId"]] = service
        finding = envelope["payload"].get("findingId")
        if envelope["eventType"] == "RemediateDrift" and finding in self._suppressed:
            self.history.broke("11", f"{finding} is suppressed, and is to be repaired")


def _leads(table: Transitions[Any, Any], before: str, after: str, steps: int = 3) -> bool:
    """Return whether at most *steps* transitions of *table* lead from *before* to *after*."""
    targets = {str(state) for state in table.rows[type(next(iter(table.rows)))(before)].values()}
    return after in targets or (
        steps > 1 and any(_leads(table, each, after, steps - 1) for each in targets - {before})
    )
