"""Reads: one deployment with its place in the queue, lists, logs, traffic."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from function_apps.deployments import repository
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.stored_output import InstanceOutput
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS, TARGETS, find_output
from function_apps.deployments.resources import InstanceLogs, deployment_resource
from function_apps.deployments.use_cases.read_output import read_output
from shared.contracts.audit import AuditHead, AuditHeads
from shared.contracts.deployments import Deployment as DeploymentResource
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import EnvironmentId
from shared.durable.operations import OPERATIONS
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import bounded_map
from shared.kernel.context import Context
from shared.kernel.observation import Present, Unknown
from shared.persistence.store import Document, UnreadableDocument, partition_of
from shared.surfaces.port import configured_surface
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import RevisionTraffic

TAIL_MAX: Final = 1000
_TARGETS_AT_ONCE: Final = 8
_NOT_READY_MAX: Final = 10
_INSTANCES_AT_ONCE: Final = 4
_log = logging.getLogger(__name__)


async def get_deployment(
    deployment_id: str, ctx: Context, app: DeploymentsApp
) -> tuple[DeploymentResource, str]:
    """Return the deployment and its etag, which `If-Match` is compared with.

    Its place in the queue and its operation's percent change without the deployment, so the etag
    does not show that a cached answer is current. Raises DeploymentMissing.
    """
    partition = partition_of(ctx.tenant, deployment_id)
    view = await app.service.work.read(partition, *repository.set_documents(deployment_id))
    known = repository.stored_set(view, deployment_id)
    own = await app.service.work.read(partition, OPERATIONS.document_id(known.operation_id))
    operation = own.readable(OPERATIONS, known.operation_id)
    resource = deployment_resource(known.deployment, known.target, operation)
    return resource, view.etag(deployment_id) or ""


async def list_resources(
    documents: Sequence[Document], ctx: Context, app: DeploymentsApp, *, module: str | None
) -> Sequence[DeploymentResource]:
    """Return the deployments of *documents* that change *module*, or all of them.

    One that cannot be shown, or whose place in the queue cannot, is left out and logged.
    """

    def show(
        _document: Document, deployment: Deployment
    ) -> tuple[Deployment, DeploymentResource] | None:
        if module is not None and module not in deployment.modules:
            return None
        target = DeploymentTarget(deployment.environment_id)
        return deployment, deployment_resource(deployment, target, None)

    shown = [each for each in DEPLOYMENTS.shown(documents, show) if each]
    waiting = [each for each, _ in shown if each.status is DeploymentStatus.REQUESTED]
    targets = await _targets_of(waiting, ctx, app)
    resources: list[DeploymentResource] = []
    for deployment, resource in shown:
        if deployment.status is not DeploymentStatus.REQUESTED:
            resources.append(resource)
        elif target := targets.get(deployment.environment_id):
            resources.append(deployment_resource(deployment, target, None))
    return resources


async def _targets_of(
    deployments: Sequence[Deployment], ctx: Context, app: DeploymentsApp
) -> Mapping[EnvironmentId, DeploymentTarget]:
    """Return the targets of *deployments*; one that cannot be read is absent."""
    targets: dict[EnvironmentId, DeploymentTarget] = {}

    async def read(environment_id: EnvironmentId) -> None:
        try:
            targets[environment_id] = await app.service.work.load(
                TARGETS, environment_id, ctx.tenant
            )
        except UnreadableDocument:
            _log.exception("the target of %s cannot be read", environment_id)

    environments = sorted({deployment.environment_id for deployment in deployments})
    await bounded_map(environments, read, at_once=_TARGETS_AT_ONCE)
    return targets


async def read_logs(
    deployment_id: str, ctx: Context, app: DeploymentsApp, *, module: str | None, tail: int
) -> Mapping[str, Any]:
    """Return the last lines of each instance that the deployment released.

    When none of its revision is there any more, of those whose output the surface still has; else
    what was kept when the revision was removed. An instance that cannot be read says why instead;
    where the surface says nothing of a module, one entry without an instance says why.

    Raises:
        Unavailable: what was kept cannot be read.
    """
    known = await app.service.work.load(DEPLOYMENTS, deployment_id, ctx.tenant)
    value: list[InstanceLogs] = []
    for component in known.released_components:
        if module in {None, component.module_id}:
            value += await _logs_of(component, known, app, tail)
    return {"value": [each.model_dump(mode="json") for each in value], "nextLink": None}


async def _logs_of(
    component: ReleasedComponent, known: Deployment, app: DeploymentsApp, tail: int
) -> Sequence[InstanceLogs]:
    surface = configured_surface(app.surfaces, component.compute_target)
    number = component.release_revision
    workload = SurfaceComponent(known.environment_id, known.tenant_id, component.module_id)

    def shown(
        output: InstanceOutput, *, live: bool | None = False, stored_at: datetime | None = None
    ) -> InstanceLogs:
        return InstanceLogs(
            module_id=component.module_id,
            instance=output.instance or None,
            live=live,
            release_revision=number,
            source="surface" if stored_at is None else "stored",
            stored_at=None if stored_at is None else isoformat(stored_at),
            lines=output.lines[-tail:],
            reason=output.reason,
        )

    async def read(instances: Sequence[str]) -> Sequence[InstanceOutput]:
        return await bounded_map(
            instances,
            lambda each: read_output(surface, workload, each, tail),
            at_once=_INSTANCES_AT_ONCE,
        )

    live = await surface.observe(workload)
    if isinstance(live, Unknown):
        return [shown(InstanceOutput("", reason=live.reason), live=None)]
    revision = live.value.revision(number) if isinstance(live, Present) else None
    if revision and revision.instances:
        names = [instance.id for instance in revision.instances]
        return [shown(each, live=True) for each in await read(names)]
    match await surface.kept_outputs(workload, number):
        case Unknown(reason):
            return [shown(InstanceOutput("", reason=reason))]
        case Present(stopped) if stopped:
            return [shown(each) for each in await read(stopped)]
    stored = await find_output(workload, number, app)
    if stored is None:
        return []
    return [shown(each, stored_at=stored.stored_at) for each in stored.instances]


async def read_traffic(deployment_id: str, ctx: Context, app: DeploymentsApp) -> Mapping[str, Any]:
    """Return the counters of the traffic layer for each module that the deployment released.

    They count since `epoch`: a reader takes the difference of two answers. A module without
    traffic, or whose counters cannot be read just now, says why instead. `notReady` says why new
    instances do not come, as long as the deployment is on its way.
    """
    known = await app.service.work.load(DEPLOYMENTS, deployment_id, ctx.tenant)
    value: list[Mapping[str, Any]] = []
    for component in known.released_components:
        workload = SurfaceComponent(known.environment_id, ctx.tenant, component.module_id)
        reading = await configured_surface(app.surfaces, component.compute_target).traffic(workload)
        sample = reading.value if isinstance(reading, Present) else None
        revisions = sample.revisions.items() if sample else ()
        value.append(
            {
                "moduleId": component.module_id,
                "releaseRevision": component.release_revision,
                "takenAt": isoformat(sample.taken_at) if sample else None,
                "epoch": sample.epoch if sample else None,
                "revisions": [_counters(number, counters) for number, counters in revisions],
                "reason": reading.reason if isinstance(reading, Unknown) else None,
                "notReady": [] if known.ended_at else await _not_ready(component, workload, app),
            }
        )
    return {"value": value, "nextLink": None}


async def _not_ready(
    component: ReleasedComponent, workload: SurfaceComponent, app: DeploymentsApp
) -> Sequence[str]:
    """Return why instances of the release could not be started, or ended, and are not ready."""
    live = await configured_surface(app.surfaces, component.compute_target).observe(workload)
    revision = (
        live.value.revision(component.release_revision) if isinstance(live, Present) else None
    )
    return [
        f"{instance.id}: {instance.unready_because}"
        for instance in (revision.instances if revision else ())
        if not instance.is_ready and (instance.failed_starts or instance.restarts)
    ][:_NOT_READY_MAX]


def _counters(revision: int, counters: RevisionTraffic) -> Mapping[str, Any]:
    return {
        "releaseRevision": revision,
        "requests": counters.requests,
        "byClass": dict(counters.by_class),
        "noAnswer": counters.no_answer,
        "retries": counters.retries,
        "latency": {
            "boundsMs": list(counters.latency.bounds_ms),
            "counts": list(counters.latency.counts),
        },
    }


async def get_audit_heads(ctx: Context, app: DeploymentsApp) -> AuditHeads:
    """Return what was anchored last of the caller's tenant; nothing before the first time.

    Raises:
        Unavailable: it cannot be read, so nothing may be compared with it.
    """
    anchored = await app.head_anchors.newest(ctx.tenant, ctx.now())
    return AuditHeads(
        tenant_id=ctx.tenant,
        sequence=anchored.sequence,
        anchored_at=anchored.at,
        heads={
            service: AuditHead(number=head.number, hash=head.hash)
            for service, head in anchored.heads.items()
        },
    )
