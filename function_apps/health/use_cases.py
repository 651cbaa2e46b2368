"""Commands, events, sweeps and reads of health: load, decide, commit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import shared.kernel.operation as operations
from function_apps.health.errors import GateDiffers, HealthNotFound
from function_apps.health.model import gates, hysteresis
from function_apps.health.model.hysteresis import Look, Target
from function_apps.health.ports import HealthApp
from shared.contracts.catalog import ReleaseOutcome
from shared.contracts.deployments import DeploymentEnded
from shared.contracts.gates import EvaluateGate, GateEvidence
from shared.contracts.health import (
    HealthCheckCompleted,
    HealthSource,
    HealthStatus,
    ServiceHealth,
    WatchRelease,
)
from shared.contracts.releases import CauseKind, ChangeCause
from shared.kernel.clock import isoformat
from shared.kernel.ids import (
    EnvironmentId,
    ModuleId,
    ServiceId,
    TenantId,
    module_key,
    operation_id,
    parse_id,
    service_id,
)
from shared.kernel.scope import PlatformScope, Scope
from shared.messaging.cause import Cause, caused_by_timer
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Publish, Start
from shared.messaging.split import PAGE_MAX, split
from shared.messaging.unit_of_work import Audited, Decision, Outcome, Put, View
from shared.persistence.store import Comparison, Document, Partition, Query, Where
from shared.persistence.tables import Row
from shared.probing.result import ProbeResult
from shared.surfaces.live import Instance, LiveComponent
from shared.surfaces.reading import Absent, Present
from shared.surfaces.spec import Component

EVALUATE: Final = "health_evaluate_gate"
"""Durable name of the orchestration; a test holds it to `orchestrations.py`."""
HISTORY_KEPT: Final = timedelta(days=30)
_OUTCOMES: Final = {
    "Completed": ReleaseOutcome.COMPLETED,
    "RolledBack": ReleaseOutcome.ROLLED_BACK,
    "Failed": ReleaseOutcome.FAILED,
    "Cancelled": ReleaseOutcome.CANCELLED,
}


async def note_deployment_ended(
    event: DeploymentEnded, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Split the end of a deployment into one command per service to probe from now on."""
    outcome = _OUTCOMES[event.status.value]
    unit = event.release_unit
    released = {each.module_id: each for each in unit.components} if unit else {}
    modules: list[ModuleId] = []
    if outcome in {ReleaseOutcome.COMPLETED, ReleaseOutcome.ROLLED_BACK}:
        modules = [*released, *(unit.removed if unit else ())]
        modules += [each for each in event.modules if each not in modules]
    units = [
        (
            module,
            WatchRelease(
                environment_id=event.environment_id,
                project_id=event.project_id,
                stage=event.stage,
                deployment_id=event.deployment_id,
                outcome=outcome,
                module_id=module,
                component=released.get(module),
                cause=ChangeCause(kind=CauseKind.DEPLOYMENT, id=event.deployment_id),
                ended_at=event.ended_at,
            ),
        )
        for module in modules[:PAGE_MAX]
    ]
    return await split(
        units,
        key=parse_id(event.environment_id, "env").environment,
        project=event.project_id,
        scope=scope,
        cause=cause,
        service=app.service,
    )


async def watch_release(
    command: WatchRelease, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Take what a deployment left of one service as the target of probes."""
    key = parse_id(command.environment_id, "env").environment
    identity = service_id(key, module_key(scope.tenant, ModuleId(command.module_id)))
    now = app.service.clock.now()

    def decide(view: View) -> Decision:
        body = view.body(hysteresis.DOCUMENT_ID)
        known = hysteresis.from_body(body) if body is not None else None
        target = hysteresis.watch(
            known, command, service_id=identity, tenant_id=scope.tenant, now=now
        )
        if target is None:
            return Decision()
        return Decision(
            writes=[Put(hysteresis.DOCUMENT_ID, hysteresis.to_body(target))],
            audited=Audited("WatchRelease", identity),
        )

    partition = Partition(scope.tenant, key, identity)
    return await app.service.work.write(scope, partition, [hysteresis.DOCUMENT_ID], decide, cause)


async def evaluate_gate(
    command: EvaluateGate, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Begin to judge a gate; the same gate again is one gate.

    Raises:
        GateDiffers: its id is known with another content.
    """
    parsed = parse_id(command.service_id, "svc")
    partition = Partition(scope.tenant, parsed.environment, command.service_id)
    now = app.service.clock.now()
    identity = operation_id("health", parsed.environment, now, app.service.entropy, m=parsed.module)
    document_id = gates.gate_document(command.gate_id)
    row = gates.gate_body(command, identity)
    argument = {
        "tenantId": scope.tenant,
        "serviceId": command.service_id,
        "gateId": command.gate_id,
        "traceId": cause.trace_id,
        "correlationId": cause.correlation_id,
        "causationId": cause.causation_id,
    }
    path = f"/v1/runtime/services/{command.service_id}/health"
    operation = operations.accept(
        identity, "EvaluateGate", path, cause.actor, EVALUATE, argument, now
    )

    def decide(view: View) -> Decision:
        known = view.body(document_id)
        if known is not None:
            if known["gate"] != row["gate"]:
                raise GateDiffers(f"gate {command.gate_id} is known with another content")
            return Decision()
        return Decision(
            writes=[
                Put(document_id, row, ttl_s=int(HISTORY_KEPT.total_seconds())),
                Put(operations.document_id(identity), operations.to_body(operation)),
            ],
            outbox=[Start(EVALUATE, identity, argument)],
            audited=Audited("EvaluateGate", command.gate_id),
        )

    return await app.service.work.write(scope, partition, [document_id], decide, cause)


@dataclass(frozen=True)
class Seen:
    """One look at a target: what it says, and the probes behind it."""

    look: Look
    checks: Sequence[Mapping[str, Any]]
    reason: str


async def sweep_due(app: HealthApp, scope: PlatformScope) -> int:
    """Look at every target that is due; return how many were looked at.

    When more than half of the healthy ones are lost at once it is the prober that is cut off: they
    are Unknown then, and nobody is woken for each of them.
    """
    now = app.service.clock.now()
    due = await app.service.store.query_due(
        Query(
            where=[
                Where("type", Comparison.EQ, "target"),
                Where("dueAt", Comparison.LE, isoformat(now)),
            ],
            order_by="dueAt",
        )
    )
    targets = [hysteresis.from_body(document.body) for document in due.documents]
    seen = [await look_at(target, app) for target in targets]
    if hysteresis.is_prober_outage(
        targets, [each.look for each in seen], app.rules.prober_outage_ratio
    ):
        seen = [Seen(Look.NOTHING, (), "most targets were lost at once") for _ in targets]
    for document, each in zip(due.documents, seen, strict=True):
        tenant_scope = Scope(TenantId(document.partition.tenant), scope.caller)
        await record_look(document, each, scope=tenant_scope, app=app)
    return len(targets)


async def look_at(target: Target, app: HealthApp) -> Seen:
    """Probe every instance of *target* that runs its release revision."""
    reading = await app.surface.observe(component_of(target))
    if isinstance(reading, Absent):
        return Seen(Look.FAIL, (), "nothing of it runs")
    if not isinstance(reading, Present):
        return Seen(Look.NOTHING, (), reading.reason)
    instances = serving(reading.value)
    if not instances:
        return Seen(Look.FAIL, (), "no instance runs")
    checks = [await _check(target, instance, app) for instance in instances]
    passing = sum(check["status"] == HealthStatus.HEALTHY for check in checks)
    wanted = max(1, int(target.component["replicas"]))
    reason = f"{passing} of {wanted} instances pass"
    if passing >= wanted:
        return Seen(Look.PASS, checks, reason)
    return Seen(Look.PARTLY if passing else Look.FAIL, checks, reason)


def component_of(target: Target) -> Component:
    return Component(
        EnvironmentId(target.environment_id),
        TenantId(target.tenant_id),
        ModuleId(target.module_id),
    )


def serving(component: LiveComponent) -> Sequence[Instance]:
    """Return the instances that have traffic, or all of them for a worker without traffic."""
    weighted = [
        revision for revision in component.revisions if component.weights.get(revision.revision)
    ]
    revisions = weighted or list(component.revisions)
    return [instance for revision in revisions for instance in revision.instances]


async def _check(target: Target, instance: Instance, app: HealthApp) -> Mapping[str, Any]:
    readiness = target.component.get("probes", {}).get("readiness")
    path = readiness.get("path", "/") if readiness else None
    if path is None or instance.address is None:
        passed = instance.is_live and (instance.is_ready or instance.address is None)
        return _as_check(instance, ProbeResult(passed, "Ok" if passed else "NotLive", 0.0))
    result = await probe(f"http://{instance.address}{path}", app)
    return _as_check(instance, result)


async def probe(url: str, app: HealthApp) -> ProbeResult:
    """Ask once, and again up to three times: one lost packet is not a failure."""
    timeout_s = app.rules.probe_timeout.total_seconds()
    result = await app.prober.probe(url, timeout_s)
    for _ in range(app.rules.probe_retries):
        if result.passed:
            break
        result = await app.prober.probe(url, timeout_s)
    return result


def _as_check(instance: Instance, result: ProbeResult) -> Mapping[str, Any]:
    return {
        "kind": "readiness",
        "probe": "http",
        "status": HealthStatus.HEALTHY if result.passed else HealthStatus.UNHEALTHY,
        "latencyMs": round(result.latency_ms, 1),
        "code": result.code,
        "instance": instance.id,
    }


async def record_look(document: Document, seen: Seen, *, scope: Scope, app: HealthApp) -> Outcome:
    """Commit one look: the state on change or heartbeat only, the sample to the table always."""
    now = app.service.clock.now()
    before = hysteresis.from_body(document.body)
    after = hysteresis.judge(before, seen.look, seen.checks, seen.reason, now, app.rules)
    await app.samples.upsert([_sample(after, now)])
    has_changed = hysteresis.changed(before, after)
    tells = has_changed or hysteresis.is_heartbeat_due(before, now, app.rules)
    cause = caused_by_timer("health_sweep_due", app.service.entropy)
    told = replace(after, told_at=isoformat(now)) if tells else after
    if tells and not has_changed:
        told = replace(told, revision=told.revision + 1)

    def decide(view: View) -> Decision:
        if view.etag(hysteresis.DOCUMENT_ID) != document.etag:
            return Decision()
        write = Put(hysteresis.DOCUMENT_ID, hysteresis.to_body(told))
        if not tells:
            return Decision(writes=[write])
        source = HealthSource.CHANGE if has_changed else HealthSource.HEARTBEAT
        audited = Audited("JudgeHealth", told.service_id, told.status) if has_changed else None
        return Decision(
            writes=[write], outbox=[_completed(told, source, cause, app)], audited=audited
        )

    return await app.service.work.write(
        scope, document.partition, [hysteresis.DOCUMENT_ID], decide, cause
    )


async def get_health(identity: str, *, scope: Scope, app: HealthApp) -> ServiceHealth:
    """Return the health of a service as it is known now. Raises HealthNotFound."""
    partition = Partition(scope.tenant, parse_id(identity, "svc").environment, identity)
    document = await app.service.store.read(partition, hysteresis.DOCUMENT_ID)
    if document is None:
        raise HealthNotFound(identity)
    return resource(hysteresis.from_body(document.body))


async def get_history(
    identity: str, *, since: datetime, limit: int, scope: Scope, app: HealthApp
) -> Sequence[Mapping[str, Any]]:
    """Return what each look said, newest first."""
    await get_health(identity, scope=scope, app=app)
    rows = await app.samples.scan(
        _sample_partition(scope.tenant, identity),
        after=isoformat(since),
        limit=limit,
        newest_first=True,
    )
    return [
        {
            "serviceId": identity,
            "at": row.row_key,
            "status": row.values["status"],
            "reason": row.values["reason"],
            "checks": json.loads(str(row.values["checks"])),
            "deploymentId": row.values["deploymentId"],
        }
        for row in rows
    ]


def resource(target: Target) -> ServiceHealth:
    """Return what clients see of *target*."""
    return ServiceHealth.model_validate(
        {
            "serviceId": target.service_id,
            "tenantId": target.tenant_id,
            "environmentId": target.environment_id,
            "stage": target.stage,
            "moduleId": target.module_id,
            "deploymentId": target.deployment_id,
            "releaseRevision": target.release_revision,
            "digest": target.component["digest"],
            "status": target.status,
            "previousStatus": target.previous,
            "reason": target.reason,
            "since": target.since,
            "checkedAt": target.told_at if not target.checks else target.due_at,
            "checks": target.checks,
            "window": None,
            "sloBurn": (),
            "rootCause": None,
            "revision": target.revision,
        }
    )


def gate_completed(
    gate: EvaluateGate, found: GateEvidence, revision: int, cause: Cause, app: HealthApp,
    tenant: str,
) -> Publish:  # fmt: skip
    """Return the event that answers a gate; the gate is its aggregate."""
    statuses = {"Pass": HealthStatus.HEALTHY, "Fail": HealthStatus.UNHEALTHY}
    payload = HealthCheckCompleted(
        aggregate_id=gate.gate_id,
        revision=revision,
        service_id=gate.service_id,
        environment_id=gate.environment_id,
        module_id=gate.module_id,
        deployment_id=gate.deployment_id,
        gate_id=gate.gate_id,
        release_revision=gate.candidate.release_revision,
        status=statuses.get(found.verdict.value, HealthStatus.UNKNOWN),
        samples=found.candidate.requests + found.candidate.probes,
        source=HealthSource.GATE,
        verdict=found.verdict,
        evidence=found,
    )
    return Publish(
        envelope_of(
            payload,
            tenant=tenant,
            cause=cause,
            clock=app.service.clock,
            entropy=app.service.entropy,
            module=gate.module_id,
        )
    )


def _completed(target: Target, source: HealthSource, cause: Cause, app: HealthApp) -> Publish:
    payload = HealthCheckCompleted.model_validate(
        {
            "aggregateId": target.service_id,
            "revision": target.revision,
            "serviceId": target.service_id,
            "environmentId": target.environment_id,
            "moduleId": target.module_id,
            "deploymentId": target.deployment_id,
            "releaseRevision": target.release_revision,
            "status": target.status,
            "previousStatus": target.previous,
            "checks": target.checks,
            "samples": len(target.checks),
            "source": source,
        }
    )
    return Publish(
        envelope_of(
            payload,
            tenant=target.tenant_id,
            cause=cause,
            clock=app.service.clock,
            entropy=app.service.entropy,
            module=target.module_id,
        )
    )


def _sample(target: Target, now: datetime) -> Row:
    return Row(
        _sample_partition(target.tenant_id, target.service_id),
        isoformat(now),
        {
            "status": target.status.value,
            "reason": target.reason,
            "checks": json.dumps([dict(each) for each in target.checks]),
            "deploymentId": target.deployment_id,
        },
    )


def _sample_partition(tenant: str, identity: str | ServiceId) -> str:
    return f"{tenant}|{identity}"
