"""The activities that isolate a bound tenant: admit it, make its boundaries, tell of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, cast

from function_apps.environments.activities.inputs import MadeBoundaries
from function_apps.environments.errors import EnvironmentNotThere, TenantNotAdmitted
from function_apps.environments.model.environment import RuntimeEnvironment, require_alone
from function_apps.environments.model.lifecycle import State
from function_apps.environments.model.tenant_isolation import TenantIsolation, failed
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import (
    ENVIRONMENTS,
    ISOLATIONS,
    environment_of,
    isolation_changed,
)
from shared.contracts.environments import IsolationState
from shared.contracts.isolation import Quota as TenantQuota
from shared.contracts.values import ComputeTargetKind, IsolationModel, Reason
from shared.durable.activity import (
    REASON_MAX,
    ActivityContext,
    FailureReason,
    Step,
    commit_documents,
    commit_step,
    load_owned,
)
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.surfaces.boundaries import Boundary, BoundarySpec, bound_quota, has_boundaries
from shared.surfaces.capabilities import Feature
from shared.surfaces.port import Boundaries, configured_surface
from shared.surfaces.spec import Resources

USABLE: Final = frozenset({State.PROVISIONED, State.UPDATING})
_CPU_OF_AN_INSTANCE: Final = 0.5
_MEMORY_OF_AN_INSTANCE: Final = 256
"""Of an instance whose component names none: a cluster that counts a total refuses one without."""


async def admit_tenant(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Check that the environment is there and admits the tenant, and note it there.

    From then on the environment of another tenant is not decommissioned, and a silo admits nobody.

    Raises:
        EnvironmentNotThere, TenantNotAdmitted, SiloNotAlone: see there.
    """
    isolation = await load_owned(ISOLATIONS, ctx, app)
    if isolation.is_foreign:
        await _note_bound(isolation, ctx, app)
    elif isolation.model is IsolationModel.SILO:
        await _note_silo(isolation, ctx, app)
    else:
        _require_usable(await environment_of(isolation, app), isolation)

    def decide(_isolation: TenantIsolation, operation: Operation) -> Step[None]:
        return Step(None, operation.begin_step("admit", ctx.now(), percent=10))

    await commit_step(ctx, app, ISOLATIONS, decide)


def _require_usable(environment: RuntimeEnvironment | None, isolation: TenantIsolation) -> None:
    if environment is None or environment.status not in USABLE:
        status = "not there" if environment is None else environment.status
        raise EnvironmentNotThere(isolation.environment_id, status)


async def _note_bound(
    isolation: TenantIsolation, ctx: ActivityContext, app: EnvironmentsApp
) -> None:
    """Note the binding at the environment of its owner, in whose partition that is."""

    def decide(view: View) -> Decision[Json]:
        environment = view.find(ENVIRONMENTS, isolation.environment_id)
        _require_usable(environment, isolation)
        assert environment is not None, "it is usable"
        if environment.is_silo or isolation.tenant_id not in environment.in_force.admits:
            raise TenantNotAdmitted(isolation.environment_id, isolation.tenant_id)
        if isolation.binding_id in environment.bound:
            return NOTHING
        bound = (*environment.bound, isolation.binding_id)
        return _noted(replace(environment, bound=bound), "AdmitTenant")

    of_owner = context_of_owner(isolation, ctx)
    await app.service.work.change(of_owner, ENVIRONMENTS, isolation.environment_id, decide)


async def _note_silo(
    isolation: TenantIsolation, ctx: ActivityContext, app: EnvironmentsApp
) -> None:
    """Note at the environment that it is a silo: from then on it admits nobody."""

    def decide(view: View) -> Decision[Json]:
        environment = view.find(ENVIRONMENTS, isolation.environment_id)
        _require_usable(environment, isolation)
        assert environment is not None, "it is usable"
        silo = require_alone(replace(environment, silo_bound=True))
        return NOTHING if silo == environment else _noted(silo, "KeepAlone")

    of_owner = context_of_owner(isolation, ctx)
    await app.service.work.change(of_owner, ENVIRONMENTS, isolation.environment_id, decide)


def _noted(environment: RuntimeEnvironment, action: str) -> Decision[Json]:
    return Decision(
        {},
        writes=[ENVIRONMENTS.put(environment)],
        audited=Audited(action, environment.environment_id),
    )


def context_of_owner(isolation: TenantIsolation, ctx: Context) -> Context:
    """Return *ctx* for the data of the owner of the environment, which admits the tenant."""
    owner = TenantId(isolation.owner_tenant_id)
    return replace(ctx, scope=replace(ctx.scope, tenant=owner))


async def forget_bound(
    isolation: TenantIsolation, ctx: ActivityContext, app: EnvironmentsApp
) -> None:
    """Take the binding from the environment of its owner, which may be decommissioned then."""

    def decide(view: View) -> Decision[Json]:
        environment = view.find(ENVIRONMENTS, isolation.environment_id)
        if environment is None or isolation.binding_id not in environment.bound:
            return NOTHING
        bound = tuple(each for each in environment.bound if each != isolation.binding_id)
        return _noted(replace(environment, bound=bound), "ForgetTenant")

    of_owner = context_of_owner(isolation, ctx)
    await app.service.work.change(of_owner, ENVIRONMENTS, isolation.environment_id, decide)


async def make_boundaries(ctx: ActivityContext, app: EnvironmentsApp) -> MadeBoundaries:
    """Make the tenant's boundary on each surface of the environment that has some.

    Raises:
        EnvironmentNotThere: see there.
        Unavailable: a boundary that was made could not be read; or see `boundaries_on`.
    """
    isolation = await load_owned(ISOLATIONS, ctx, app)
    environment = await environment_of(isolation, app)
    _require_usable(environment, isolation)
    assert environment is not None, "it is usable"
    kinds = tuple(target.kind for target in environment.targets)
    fence, namespace, identity = ctx.fence(isolation), None, None
    for kind, boundaries in boundaries_on(environment, app).items():
        spec = boundary_spec(isolation, isolation.quota)
        await boundaries.ensure_boundary(spec, fence)
        boundary = _made(await boundaries.read_boundary(spec.environment, spec.tenant), spec)
        if configured_surface(app.surfaces, kind).capabilities().supports(Feature.NAMESPACES):
            namespace, identity = boundary.name, boundary.properties.get("identity")
    return MadeBoundaries(kinds, namespace, identity)


def _made(reading: Reading[Boundary], spec: BoundarySpec) -> Boundary:
    """Return the boundary that was made for *spec*: what was not seen is not in force."""
    match reading:
        case Present(boundary):
            return boundary
        case Unknown(reason):
            raise Unavailable(f"the boundary of {spec.tenant} cannot be read: {reason}")
        case Absent():
            raise AssertionError(f"{spec.environment} has no boundary of {spec.tenant} once made")


def boundaries_on(
    environment: RuntimeEnvironment, app: EnvironmentsApp
) -> Mapping[ComputeTargetKind, Boundaries]:
    """Return the surfaces of *environment* that keep a boundary of each tenant.

    On LocalProcess it is a quota only: there each instance is kept apart from all others, whosever
    they are. A target without a surface runs nothing.

    Raises:
        Unavailable: no setting leads to a surface that kept some when it was provisioned.
    """
    boundaries: dict[ComputeTargetKind, Boundaries] = {}
    for target in environment.targets:
        if target.kind not in app.surfaces and not has_boundaries(target.capabilities):
            continue
        surface = configured_surface(app.surfaces, target.kind)
        if has_boundaries(surface.capabilities().features):
            boundaries[target.kind] = cast("Boundaries", surface)  # as its features say
    return boundaries


def boundary_spec(isolation: TenantIsolation, quota: TenantQuota) -> BoundarySpec:
    return BoundarySpec(
        EnvironmentId(isolation.environment_id),
        TenantId(isolation.tenant_id),
        bound_quota(quota),
        Resources(
            memory_mb=None if quota.memory_mib is None else _MEMORY_OF_AN_INSTANCE,
            cpu=None if quota.cpu is None else _CPU_OF_AN_INSTANCE,
        ),
    )


async def complete_isolation(
    made: MadeBoundaries, ctx: ActivityContext, app: EnvironmentsApp
) -> None:
    """Record that the tenant is isolated, and publish it to the tenant."""

    def after(isolation: TenantIsolation) -> TenantIsolation:
        return replace(
            isolation,
            state=IsolationState.APPLIED,
            targets=made.kinds,
            namespace=made.namespace,
            identity=made.identity,
            reason=None,
            failures=0,
            due_at=isoformat(ctx.now() + app.rules.follow_every),
        )

    await commit_isolation(after, None, ctx, app)


async def record_isolation_failure(
    reason: FailureReason, ctx: ActivityContext, app: EnvironmentsApp
) -> None:
    """Record why the tenant could not be isolated, or its isolation not be taken away."""
    shown = Reason(code=reason.code, message=reason.message[:REASON_MAX])

    def after(isolation: TenantIsolation) -> TenantIsolation:
        return failed(isolation, shown, ctx.now(), app.rules.follow_every)

    await commit_isolation(after, shown, ctx, app)


@dataclass(frozen=True)
class _Isolated:
    """The isolation of a tenant with its environment, if that is there."""

    isolation: TenantIsolation
    environment: RuntimeEnvironment | None

    @property
    def operation_id(self) -> str:
        return self.isolation.operation_id


async def commit_isolation(
    change: Callable[[TenantIsolation], TenantIsolation],
    failure: Reason | None,
    ctx: ActivityContext,
    app: EnvironmentsApp,
) -> None:
    """End the operation with the isolation as *change* has it, and publish that to its tenant."""
    isolation = await load_owned(ISOLATIONS, ctx, app)
    # That of another tenant is in another partition, and so in no commit of this one.
    foreign = await environment_of(isolation, app) if isolation.is_foreign else None

    def load(view: View) -> _Isolated:
        own = None if isolation.is_foreign else view.find(ENVIRONMENTS, isolation.environment_id)
        return _Isolated(view.get(ISOLATIONS, ctx.aggregate_id), own or foreign)

    def decide(known: _Isolated, operation: Operation) -> Step[None]:
        now, after = ctx.now(), change(known.isolation)
        if failure is None:
            ended = operation.succeed({"bindingId": after.binding_id}, now)
        else:
            ended = operation.fail(failure.code, failure.message, now)
        writes, rows = isolation_changed(after, known.environment, now)
        audited = Audited(type(after).__name__, after.binding_id, after.state)
        return Step(None, ended, writes, rows, audited)

    reads = [ISOLATIONS.document_id(ctx.aggregate_id)]
    if not isolation.is_foreign:
        reads.append(ENVIRONMENTS.document_id(isolation.environment_id))
    await commit_documents(ctx, app, reads, load, decide)
