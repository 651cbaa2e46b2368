"""What GET answers: one deployment with its place in the queue, lists, logs, traffic."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import shared.kernel.operation as operations
from function_apps.deployments.errors import DeploymentMissing
from function_apps.deployments.model import deployment as deployments
from function_apps.deployments.model import target as targets
from function_apps.deployments.model import telling, units
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.target import Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import environment_of, place
from shared.contracts import deployments as told
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.values import EnvironmentId
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import bounded_map
from shared.kernel.ids import parse_id
from shared.kernel.observation import Present
from shared.kernel.scope import Scope
from shared.persistence.store import Comparison, Document, Partition, Prefix, Query, Where
from shared.surfaces.traffic import RevisionTraffic

TAIL_MAX = 1000
_TARGETS_AT_ONCE = 8


async def get(deployment: str, *, scope: Scope, app: DeploymentsApp) -> tuple[told.Deployment, str]:
    """Return the deployment with its etag. Raises DeploymentMissing."""
    target_id = targets.document_id(environment_of(deployment))
    partition = place(deployment, scope)
    view = await app.service.work.read(partition, deployment, target_id)
    document = view.documents.get(deployment)
    if document is None:
        raise DeploymentMissing(deployment)
    found = deployments.from_body(document.body)
    row = await app.service.store.read(partition, operations.document_id(found.operation_id))
    target = targets.from_body(view.body(target_id), found.environment_id)
    operation = operations.from_body(row.body) if row else None
    resource = telling.resource(found, target, operation)
    # The place in the queue and the operation's percent change without the deployment.
    others = [view.etag(target_id) or "", row.etag if row else ""]
    return resource, "-".join([document.etag, *others])


async def find(
    filters: Mapping[str, str], *, top: int, scope: Scope, app: DeploymentsApp
) -> Mapping[str, Any]:
    """Return one page, newest first; *filters* may have environmentId, status and moduleId.

    A page may hold fewer than *top* while there is a next one: modules are picked from what the
    store found.
    """
    where = [Where("type", Comparison.EQ, deployments.TYPE)]
    if status := filters.get("status"):
        where.append(Where("status", Comparison.EQ, status))
    within: Partition | Prefix = Prefix(scope.tenant)
    if environment := filters.get("environmentId"):
        within = Partition(scope.tenant, parse_id(environment, "env").environment)
    query = Query(
        where=where,
        order_by="created_at",
        descending=True,
        limit=top,
        continuation=filters.get("continuation"),
    )
    page = await app.service.store.query(within, query)
    module = filters.get("moduleId")
    found = [
        deployments.from_body(document.body)
        for document in page.documents
        if module is None or module in _modules(document)
    ]
    queues = await _targets_of_waiting(found, scope, app)
    value = [
        json.loads(
            telling.resource(
                each, queues.get(each.environment_id, Target(each.environment_id)), None
            ).model_dump_json(by_alias=True)
        )
        for each in found
    ]
    kept = "".join(
        f"&{name}={filters[name]}"
        for name in ("environmentId", "status", "moduleId")
        if name in filters
    )
    more = f"?continuation={page.continuation}&top={top}{kept}" if page.continuation else None
    return {"value": value, "nextLink": more}


async def _targets_of_waiting(
    found: Sequence[Deployment], scope: Scope, app: DeploymentsApp
) -> Mapping[EnvironmentId, Target]:
    """Return the targets that show what those that have not started wait for."""
    waiting = {each.environment_id for each in found if each.status is DeploymentStatus.REQUESTED}

    async def read(environment: EnvironmentId) -> tuple[EnvironmentId, Target]:
        document_id = targets.document_id(environment)
        view = await app.service.work.read(place(environment, scope), document_id)
        return environment, targets.from_body(view.body(document_id), environment)

    return dict(await bounded_map(sorted(waiting), read, at_once=_TARGETS_AT_ONCE))


def _modules(document: Document) -> list[str]:
    components = [one["moduleId"] for one in document.body["components"]]
    return [*components, *document.body["remove"]]


async def logs(
    deployment: str, *, module: str | None, tail: int, scope: Scope, app: DeploymentsApp
) -> Mapping[str, Any]:
    """Return the last lines of each live instance of what the deployment brought.

    An instance that cannot be read says why instead.
    """
    view = await app.service.work.read(place(deployment, scope), deployment)
    body = view.body(deployment)
    if body is None:
        raise DeploymentMissing(deployment)
    found = deployments.from_body(body)
    value: list[Mapping[str, Any]] = []
    for unit in found.unit.components if found.unit else ():
        if module not in {None, unit.module_id}:
            continue
        surface = app.surfaces[unit.compute_target]
        component = units.surface_component(unit.module_id, found.environment_id, scope.tenant)
        live = await surface.observe(component)
        revision = live.value.revision(unit.release_revision) if isinstance(live, Present) else None
        for instance in revision.instances if revision else ():
            said = await surface.logs(component, instance.id, tail)
            value.append(
                {
                    "moduleId": unit.module_id,
                    "instance": instance.id,
                    "releaseRevision": unit.release_revision,
                    "lines": list(said.value) if isinstance(said, Present) else [],
                    "reason": getattr(said, "reason", None),
                }
            )
    return {"value": value, "nextLink": None}


async def traffic(deployment: str, *, scope: Scope, app: DeploymentsApp) -> Mapping[str, Any]:
    """Return what the traffic layer counted for each module that the deployment brought.

    Counters of every revision it still knows, since it started (`epoch`): a reader takes the
    difference of two answers. A module without traffic, or whose counters cannot be read just now,
    says why instead.
    """
    view = await app.service.work.read(place(deployment, scope), deployment)
    body = view.body(deployment)
    if body is None:
        raise DeploymentMissing(deployment)
    found = deployments.from_body(body)
    value: list[Mapping[str, Any]] = []
    for unit in found.unit.components if found.unit else ():
        component = units.surface_component(unit.module_id, found.environment_id, scope.tenant)
        said = await app.surfaces[unit.compute_target].traffic(component)
        sample = said.value if isinstance(said, Present) else None
        value.append(
            {
                "moduleId": unit.module_id,
                "releaseRevision": unit.release_revision,
                "takenAt": isoformat(sample.taken_at) if sample else None,
                "epoch": sample.epoch if sample else None,
                "revisions": [
                    _counted(number, counters) for number, counters in sample.revisions.items()
                ]
                if sample
                else [],
                "reason": getattr(said, "reason", None),
            }
        )
    return {"value": value, "nextLink": None}


def _counted(revision: int, counters: RevisionTraffic) -> Mapping[str, Any]:
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
