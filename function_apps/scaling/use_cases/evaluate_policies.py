"""The timer: evaluate every policy by itself; one that fails or is slow stops no others.

A run ends before the next is due, whatever it waits for, and tenants take turns in it.

An evaluation is one row of a table; the policy is written only where the number, its status or its
alert changes, so a quiet policy costs no write. It is committed before the surface is written to:
who lost the race for the document writes nothing.
"""

import asyncio
from datetime import datetime
from typing import Final

from function_apps.scaling.errors import PolicyChanged
from function_apps.scaling.model import sample
from function_apps.scaling.model.cost import affordable
from function_apps.scaling.model.evaluation import Circumstances, ReplicaDecision, evaluate_policy
from function_apps.scaling.model.left_replicas import forget_number
from function_apps.scaling.model.policy import (
    Ended,
    ReleaseFollowed,
    ScalingPolicy,
    State,
    Wanted,
    evolve,
    is_held_by_newer,
    is_news,
    record_evaluation,
    reject,
    see_newer,
    take_back,
    with_alert,
)
from function_apps.scaling.model.sample import Sample, loads_of, sample_of
from function_apps.scaling.model.scaled_service import ScaledService
from function_apps.scaling.model.signal_values import Instances
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import (
    DOCUMENTS,
    POLICIES,
    SERVICES,
    changed,
    sample_partition,
)
from function_apps.scaling.use_cases.apply_scaling_policy import found, require_valid
from function_apps.scaling.use_cases.measure_signals import Scaled, measure_signals, observe
from function_apps.scaling.use_cases.record_figures import record_figures
from function_apps.scaling.use_cases.write_replicas import (
    release_replicas,
    write_native_rules,
    write_replicas,
)
from shared.contracts.scaling import Actuator, ScalingReason
from shared.kernel.clock import isoformat
from shared.kernel.context import Context, timer_context
from shared.kernel.errors import Invalid
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Present, Unknown
from shared.messaging.sweep import Sweep, every_due
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.store import Document, partition_of
from shared.surfaces.capabilities import Feature
from shared.surfaces.observed_state import LiveComponent, LiveRevision, Phase
from shared.surfaces.port import Surface, configured_surface
from shared.surfaces.spec import SurfaceComponent

EVALUATE: Final = "evaluate_due"
"""The timer."""
SAMPLES_MAX: Final = 1000


async def evaluate_policies(app: ScalingApp) -> int:
    """Evaluate every policy; return how many there were."""
    service = app.service
    sweep = Sweep(EVALUATE, POLICIES.type_name, service.store, service.clock, service.sweeps)

    seen: list[Sample] = []

    async def evaluate(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        ctx = timer_context(f"scaling_{EVALUATE}", tenant, service.clock, service.entropy)
        result = await sweep.attempt(document, _evaluated_in_time(document, ctx, app))
        if isinstance(result, Sample):
            seen.append(result)

    documents = await every_due(POLICIES.type_name, POLICIES.key, service.store, service.clock)
    await app.runs.run(
        EVALUATE, documents, evaluate, within=app.rules.scaling.evaluation, clock=service.clock
    )
    if service.telemetry.is_on:
        record_figures(seen, service.telemetry)
    return len(documents)


async def _evaluated_in_time(document: Document, ctx: Context, app: ScalingApp) -> Sample | None:
    """Evaluate one policy. Raises TimeoutError where that takes too long."""
    async with asyncio.timeout(app.rules.evaluate_within.total_seconds()):
        return await evaluate_document(document, ctx, app)


async def evaluate_document(document: Document, ctx: Context, app: ScalingApp) -> Sample | None:
    """Evaluate one policy: note what was seen, commit what changes, and write the number.

    Return what was noted; None for one that is not evaluated.
    """
    policy = POLICIES.decode(document.body)
    view = await app.service.work.read(document.partition, *DOCUMENTS)
    service = view.find(SERVICES, policy.service_id)
    if service is None or not (service.is_released or service.is_retired):
        return None
    if policy.is_to_be_taken_back:
        await _take_back(policy, service, ctx, app)
    elif service.is_retired:
        await _commit(policy, evolve(policy, Ended, ctx.now()), ctx, app)
    elif (policy.status, policy.rejected_release) != (State.REJECTED, service.release_revision):
        return await _evaluate(policy, service, ctx, app)
    return None


async def _evaluate(
    policy: ScalingPolicy, service: ScaledService, ctx: Context, app: ScalingApp
) -> Sample | None:
    """Evaluate *policy* of a service that runs; None where its release cannot be scaled so."""
    try:
        policy = await _applied(policy, service, ctx, app)
    except Invalid as refusal:
        await _reject(policy, refusal, service, ctx, app)
        return None
    surface = configured_surface(app.surfaces, service.compute_target)
    component = _component_of(service, ctx)
    reading = await observe(surface, component, app)
    live = reading.value if isinstance(reading, Present) else None
    revision = live.revision(service.release_revision) if live else None
    if live is None or revision is None:
        why = reading.reason if isinstance(reading, Unknown) else "its release is not there"
        unread = Sample(
            isoformat(ctx.now()), policy.policy_revision, ScalingReason.SIGNAL_LOST, why
        )
        return await _keep(unread, policy, ctx, app)
    scaled = Scaled(service, component, revision)
    if policy.content.actuator is Actuator.NATIVE:
        return await _follow_surface(policy, scaled, live, surface, ctx, app)
    return await _scale(policy, scaled, live, surface, ctx, app)


async def _keep(seen: Sample, policy: ScalingPolicy, ctx: Context, app: ScalingApp) -> Sample:
    await app.samples.upsert([seen.row(sample_partition(ctx.tenant, policy.policy_id))])
    return seen


def _component_of(service: ScaledService, ctx: Context) -> SurfaceComponent:
    return SurfaceComponent(
        EnvironmentId(service.environment_id), ctx.tenant, ModuleId(service.module_id)
    )


async def _take_back(
    policy: ScalingPolicy, service: ScaledService, ctx: Context, app: ScalingApp
) -> None:
    """Take the number from the rules that a policy which is over gave to the surface.

    It stays due until that is done; with its service the rules go.
    """
    if not service.is_retired:
        surface = configured_surface(app.surfaces, service.compute_target)
        component = _component_of(service, ctx)
        reading = await observe(surface, component, app)
        if isinstance(reading, Unknown):
            return
        live = reading.value if isinstance(reading, Present) else None
        for revision in live.revisions if live else ():
            scaled = Scaled(service, component, revision)
            if live is None or not await release_replicas(policy, scaled, live, surface):
                return
    await _commit(policy, take_back(policy, ctx.now()), ctx, app)


async def _applied(
    policy: ScalingPolicy, service: ScaledService, ctx: Context, app: ScalingApp
) -> ScalingPolicy:
    """Return *policy*, applied to its service as that is released now.

    Raises:
        PolicyInvalid: this release cannot be scaled so, though one before could.
    """
    require_valid(policy.content, service, app)
    if policy.status not in {State.REQUESTED, State.REJECTED}:
        return policy
    is_rejected = policy.status is State.REJECTED
    requested = evolve(policy, ReleaseFollowed, ctx.now()) if is_rejected else policy
    return await _commit(policy, found(requested, service, ctx), ctx, app)


async def _reject(
    policy: ScalingPolicy, refusal: Invalid, service: ScaledService, ctx: Context, app: ScalingApp
) -> None:
    """Reject *policy* until its service has another release, or it says something else."""
    rejected = reject(policy, refusal.message, service.release_revision, ctx.now())
    await _commit(policy, forget_number(rejected, service), ctx, app)


async def _scale(
    policy: ScalingPolicy,
    scaled: Scaled,
    live: LiveComponent,
    surface: Surface,
    ctx: Context,
    app: ScalingApp,
) -> Sample:
    now, revision, at_most = ctx.now(), scaled.revision, app.rules.scaling.hold_at_most
    beside = see_newer(policy, _newest_beyond(live, revision.revision), now)
    partition_key = sample_partition(ctx.tenant, policy.policy_id)
    signals = await measure_signals(policy.content, scaled, now, app)
    decision = evaluate_policy(
        policy,
        Circumstances(
            Instances(revision.replicas, revision.ready),
            signals,
            now,
            await _recommended(policy, partition_key, now, app),
            policy.changes,
            affordable(policy.content.cost_ceiling, scaled.service.resources),
            scaled.service.is_rolling_out(now, at_most) or is_held_by_newer(beside, now, at_most),
            may_be_none(scaled.service, surface),
            app.rules.scaling.tolerance,
        ),
    )
    after = await _commit(policy, _evaluated(beside, decision, revision, now), ctx, app)
    loads = loads_of(policy.content, signals, revision.replicas)
    counted = (revision.replicas, revision.ready)
    seen = sample.decided(isoformat(now), policy.policy_revision, decision, counted, loads)
    await _keep(seen, policy, ctx, app)
    await write_replicas(after, decision.desired, scaled, live, surface)
    return seen


def _newest_beyond(live: LiveComponent, released: int) -> int | None:
    """Return the revision of a rollout that the surface shows, also where its message is late."""
    running = [each.revision for each in live.revisions if each.phase is not Phase.DRAINING]
    return max((each for each in running if each > released), default=None)


def may_be_none(service: ScaledService, surface: Surface) -> bool:
    """Return whether the service may have no instance: a worker, where the surface can that."""
    can = surface.capabilities().supports(Feature.SCALE_TO_ZERO)
    return can and not service.serves_requests


def _evaluated(
    policy: ScalingPolicy, decision: ReplicaDecision, scaled: LiveRevision, now: datetime
) -> ScalingPolicy:
    """Return *policy* after *decision* on *scaled*, and on a newer release beside it."""
    newest = max(scaled.revision, policy.newer_release or 0)
    wanted = Wanted(
        decision.desired, scaled.replicas, decision.reason, newest, is_lost=decision.is_lost
    )
    return record_evaluation(policy, wanted, now)


async def _recommended(
    policy: ScalingPolicy, partition_key: str, now: datetime, app: ScalingApp
) -> list[int]:
    """Return the numbers that this content wanted in its stabilisation window."""
    since = isoformat(now - policy.content.stabilisation)
    rows = await app.samples.scan(partition_key, after=since, limit=SAMPLES_MAX)
    samples = [sample_of(row) for row in rows]
    return [
        each.recommended
        for each in samples
        if each.recommended is not None and each.policy_revision == policy.policy_revision
    ]


async def _follow_surface(
    policy: ScalingPolicy,
    scaled: Scaled,
    live: LiveComponent,
    surface: Surface,
    ctx: Context,
    app: ScalingApp,
) -> Sample | None:
    """Give the number to the rules of the surface, and note what it makes of them.

    Where a deployment was first, the policy stays as it is until the next evaluation.
    """
    now, number = ctx.now(), scaled.revision.replicas
    try:
        has_rules = await write_native_rules(policy, scaled, live, surface)
    except Invalid as refusal:
        await _reject(policy, refusal, scaled.service, ctx, app)
        return None
    if not has_rules:
        return None
    decision = ReplicaDecision(number, ScalingReason.POLICY, "the surface decides by its own rules")
    await _commit(policy, _evaluated(policy, decision, scaled.revision, now), ctx, app)
    counted = (number, scaled.revision.ready)
    seen = sample.decided(isoformat(now), policy.policy_revision, decision, counted, {})
    return await _keep(seen, policy, ctx, app)


async def _commit(
    before: ScalingPolicy, after: ScalingPolicy, ctx: Context, app: ScalingApp
) -> ScalingPolicy:
    """Commit what an evaluation made of a policy, if others are to know; return the policy.

    Raises:
        PolicyChanged: somebody else wrote it meanwhile.
    """
    told, _ = with_alert(after, ctx.now(), app.rules.alert_after)
    if not is_news(before, told):
        return before

    def decide(view: View) -> Decision[Json]:
        current = view.find(POLICIES, before.service_id)
        if current is None or current.revision != before.revision:
            raise PolicyChanged(before.policy_id)
        return changed(before, after, "EvaluateScaling", ctx.now(), app)

    partition = partition_of(ctx.tenant, before.service_id)
    await app.service.work.commit(ctx, partition, list(DOCUMENTS[:1]), decide)
    return told
