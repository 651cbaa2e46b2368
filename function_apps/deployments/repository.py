"""The stored documents of deployments, and the commit of a changed set of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from function_apps.deployments import events
from function_apps.deployments.errors import DeploymentMissing
from function_apps.deployments.model import facts, module_queue, preconditions
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import TenantLayer
from function_apps.deployments.model.lifecycle import ENDINGS
from function_apps.deployments.model.operation_end import (
    CANCELLATION,
    ROLLBACK,
    ended_operation,
)
from function_apps.deployments.model.stored_output import StoredOutput
from function_apps.deployments.ports import DeploymentsApp
from shared.durable.activity import ActivityContext, Step, commit_documents, require_ownership
from shared.durable.operations import OPERATIONS, OperationInput, OperationKind
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.ids import DeploymentId, EnvironmentId, ModuleId, parse_id
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited, Row
from shared.messaging.unit_of_work import Decide, Json, Outcome, View
from shared.persistence.codec import DocumentCodec, Put
from shared.persistence.store import READ_MAX_DOCUMENTS, Partition, partition_of
from shared.surfaces.spec import SurfaceComponent

T = TypeVar("T")
_OUTPUT: Final = TypeAdapter(StoredOutput)
_OUTPUT_BYTES_MAX: Final = 4 * 2**20
"""An output in which each character is escaped has less."""
ROLL_OUT: Final = "deployments_roll_out_release"
DEPLOY: Final = OperationKind("Deploy", ROLL_OUT)
ROLL_OUT_SECRET: Final = OperationKind("RollOutSecretVersion", ROLL_OUT)
REPAIR: Final = OperationKind("RemediateDrift", ROLL_OUT)
RELOCATE: Final = OperationKind("RelocateWorkload", ROLL_OUT)
RETRY: Final = OperationKind("RetryDeployment", ROLL_OUT)
ROLL_BACK: Final = OperationKind(ROLLBACK, ROLL_OUT)
CANCEL: Final = OperationKind(CANCELLATION, ROLL_OUT)
ROLL_OUT_CONFIGURATION: Final = OperationKind("RollOutConfiguration", ROLL_OUT)
DRAIN: Final = OperationKind("DrainEnvironment", "deployments_drain_environment")


def _target_from_schema_1(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 called the queue `claims`, and knew of a drain only its operation and token."""
    upgraded = {**body, "queue": body.get("claims", [])}
    drain, environment = body.get("drain"), body.get("environment") or {}
    if drain:
        claim = {
            "operation": drain,
            "generation": environment.get("generation", 1),
            "token": body.get("drain_token", 0),
        }
        upgraded["drain"] = claim
    return upgraded


def _target_from_schema_2(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 kept the facts of a secret by binding and by rotation; the last one counted."""
    upgraded: dict[str, Any] = {}
    for aggregate, fact in body.get("facts", {}).items():
        key = aggregate
        if fact["kind"] == facts.SECRET:
            key = facts.secret_key(fact.get("module", ""), fact.get("name", ""))
            if aggregate.startswith("rot-"):
                number = int(aggregate.rpartition("-")[2])
                revision = upgraded.get(key, {"revision": 0})["revision"]
                fact = {**fact, "revision": revision, "rotation": number}  # noqa: PLW2901
        upgraded[key] = {**upgraded.get(key, {}), **fact}
    return {**body, "facts": upgraded}


DEPLOYMENTS: Final = DocumentCodec(
    Deployment, "deployment", key="deployment_id", missing=DeploymentMissing
)
TARGETS: Final = DocumentCodec(
    DeploymentTarget,
    "deploymentTarget",
    key="environment_id",
    document="target/{}",
    initial=lambda environment: DeploymentTarget(EnvironmentId(environment)),
    schema=3,
    upgrades={1: _target_from_schema_1, 2: _target_from_schema_2},
    omits_defaults=True,
)


def environment_of(deployment_id: str) -> EnvironmentId:
    """Return the environment that a deployment's id names. Raises NotFound."""
    return EnvironmentId(f"env-{parse_id(deployment_id, 'dep').environment}")


TENANT_LAYERS: Final = DocumentCodec(
    TenantLayer,
    "tenantConfiguration",
    key="tenant_id",
    document="configuration/{}",
    initial=TenantLayer,
    omits_defaults=True,
)


@dataclass(frozen=True)
class DeploymentSet:
    """The documents that one decision about one deployment works on."""

    target: DeploymentTarget
    deployment: Deployment

    @property
    def operation_id(self) -> str:
        return self.deployment.operation_id


def set_documents(deployment_id: str) -> tuple[str, str]:
    """Return the ids of the documents of a deployment's set, the aggregate first."""
    return deployment_id, TARGETS.document_id(environment_of(deployment_id))


def stored_set(view: View, deployment_id: str) -> DeploymentSet:
    """Return the set in *view*. Raises DeploymentMissing."""
    stored = view.get(DEPLOYMENTS, deployment_id)
    return DeploymentSet(view.get(TARGETS, stored.environment_id), stored)


async def load_set(deployment_id: str, ctx: Context, app: DeploymentsApp) -> DeploymentSet:
    """Return a deployment with its target. Raises DeploymentMissing."""
    partition = partition_of(ctx.tenant, deployment_id)
    return stored_set(
        await app.service.work.read(partition, *set_documents(deployment_id)), deployment_id
    )


async def load_owned_deployment(ctx: ActivityContext, app: DeploymentsApp) -> Deployment:
    """Return the deployment of *ctx*. Raises what `load_owned_set` raises."""
    return (await load_owned_set(ctx, app)).deployment


async def load_owned_set(ctx: ActivityContext, app: DeploymentsApp) -> DeploymentSet:
    """Return the deployment of *ctx*, which its operation may change the world for, and its target.

    Raises:
        OperationSuperseded: another operation has it.
        EnvironmentNotUsable: the environment that it was asked for is gone.
    """
    known = await load_set(ctx.aggregate_id, ctx, app)
    require_ownership(known, ctx)
    preconditions.require_place(known.deployment, known.target)
    return known


def changed(before: DeploymentSet, after: DeploymentSet) -> list[Put]:
    """Return the writes of the documents in which *after* differs from *before*."""
    target = [TARGETS.put(after.target)] if after.target != before.target else []
    is_changed = after.deployment != before.deployment
    return [*target, *([DEPLOYMENTS.put(after.deployment)] if is_changed else [])]


def owner_at_work(view: View, deployment_id: str) -> Sequence[str]:
    """Return the document of the operation that a command on the deployment takes over from."""
    stored = view.find(DEPLOYMENTS, deployment_id)
    is_at_work = stored is not None and stored.status not in ENDINGS
    return [OPERATIONS.document_id(stored.operation_id)] if stored and is_at_work else []


async def change(
    deployment_id: str,
    ctx: Context,
    app: DeploymentsApp,
    decide: Decide[Json],
    *,
    also: Sequence[str] = (),
) -> Outcome[Json]:
    """Commit what *decide* makes of a deployment's set, with the operation that it closes."""
    _, target = set_documents(deployment_id)
    return await app.service.work.change(
        ctx,
        DEPLOYMENTS,
        deployment_id,
        decide,
        also=[target, *also],
        linked=lambda view: owner_at_work(view, deployment_id),
    )


async def view_for_plan(
    deployment_id: str, ctx: Context, app: DeploymentsApp, *, also: Sequence[str] = ()
) -> View:
    """Return the view on which `change` would decide, for a dry run. Raises Stale."""
    view = await app.service.work.read_for_plan(DEPLOYMENTS, deployment_id, ctx)
    _, target = set_documents(deployment_id)
    ids = (target, *also, *owner_at_work(view, deployment_id))
    more = await app.service.work.read(partition_of(ctx.tenant, deployment_id), *ids)
    return View({**view.documents, **more.documents})


def step(
    value: T,
    operation: Operation,
    before: DeploymentSet,
    after: DeploymentSet,
    rows: Sequence[Row] = (),
    *,
    action: str,
) -> Step[T]:
    """Return the step that makes *after* of *before*, and stores *operation*."""
    deployment = after.deployment
    audited = Audited(action, deployment.deployment_id, deployment.status)
    return Step(value, operation, changed(before, after), rows, audited)


async def commit_deployment_step(
    ctx: ActivityContext,
    app: DeploymentsApp,
    decide: Callable[[DeploymentSet, Operation], Step[T]],
    *,
    is_recorded: bool = True,
) -> T:
    """Commit the step that *decide* makes of the set, as `activity.commit_documents`.

    Raises:
        OperationSuperseded, OperationAlreadyEnded: another operation has the deployment.
        EnvironmentNotUsable: the environment that it was asked for is gone.
    """
    deployment_id = ctx.aggregate_id

    def decide_in_place(before: DeploymentSet, operation: Operation) -> Step[T]:
        preconditions.require_place(before.deployment, before.target)
        return decide(before, operation)

    return await commit_documents(
        ctx,
        app,
        set_documents(deployment_id),
        lambda view: stored_set(view, deployment_id),
        decide_in_place,
        is_recorded=is_recorded,
    )


async def load_deployments(
    ids: Sequence[DeploymentId], partition: Partition, app: DeploymentsApp
) -> Mapping[str, Deployment]:
    """Return those deployments of *ids* that are there, read by as many at once as the store has.

    Raises:
        Unavailable: the store is away, or one cannot be read.
    """
    found: dict[str, Deployment] = {}
    for first in range(0, len(ids), READ_MAX_DOCUMENTS):
        page = await app.service.work.read(partition, *ids[first : first + READ_MAX_DOCUMENTS])
        found |= {each: page.get(DEPLOYMENTS, each) for each in page.documents}
    return found


def releases_of(module: ModuleId, target: DeploymentTarget, view: View) -> Mapping[str, Deployment]:
    """Return those deployments of *view* that say what is in force of *module*."""
    ids = target.module(module).released_in
    found = {each: view.find(DEPLOYMENTS, each) for each in ids}
    return {each: deployment for each, deployment in found.items() if deployment is not None}


def leave_queue(
    ended: Deployment, target: DeploymentTarget, ctx: Context
) -> tuple[DeploymentSet, list[Row]]:
    """Take *ended* out of its queues; publish its end and start those that are first now."""
    after, admitted = module_queue.dequeue(target, ended.deployment_id)
    return DeploymentSet(after, ended), [
        events.ended(ended),
        *(OperationInput(ctx.tenant, e.deployment).start(ROLL_OUT, e.operation) for e in admitted),
    ]


def last_step(
    value: T,
    operation: Operation,
    before: DeploymentSet,
    ended: Deployment,
    target: DeploymentTarget,
    ctx: Context,
    rows: Sequence[Row] = (),
    *,
    action: str,
) -> Step[T]:
    """Return the step that makes *ended* of *before*: it leaves its queues, *operation* ends."""
    after, told = leave_queue(ended, target, ctx)
    done = ended_operation(operation, ended, ctx.now())
    return step(value, done, before, after, [*told, *rows], action=action)


def close_operation(view: View, deployment: Deployment, ctx: Context) -> list[Put]:
    """Return the write that ends the operation of *deployment*, which a command has ended."""
    operation = view.readable(OPERATIONS, deployment.operation_id)
    if operation is None or operation.is_terminal:
        return []
    return [OPERATIONS.put(ended_operation(operation, deployment, ctx.now()))]


async def find_output(
    workload: SurfaceComponent, revision: int, app: DeploymentsApp
) -> StoredOutput | None:
    """Return what was kept of the output of *revision*; None: nothing.

    Raises:
        Unavailable: the blobs are away, or what is stored is no output.
    """
    name, text = _output_blob(workload, revision), bytearray()
    try:
        async for chunk in await app.logs.open(name):
            text += chunk
            if len(text) > _OUTPUT_BYTES_MAX:
                raise Unavailable(f"the blob {name} of logs is too large")
        return await asyncio.to_thread(_OUTPUT.validate_json, bytes(text))
    except NotFound:
        return None
    except ValidationError as damaged:
        raise Unavailable(f"the blob {name} of logs is damaged") from damaged


async def put_output(
    workload: SurfaceComponent, revision: int, output: StoredOutput, app: DeploymentsApp
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield _OUTPUT.dump_json(output)

    await app.logs.put(_output_blob(workload, revision), content())


def _output_blob(workload: SurfaceComponent, revision: int) -> str:
    """Return the name of the blob: a revision is of one deployment and component, for ever."""
    return f"{workload.tenant}/{workload.environment}/{workload.module}/{revision}.json"
