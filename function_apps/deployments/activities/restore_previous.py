"""The way back: the whole unit, in reverse order, to the previous one, with a proof and a hold."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Final

from function_apps.deployments.activities.inputs import (
    ModuleInput,
    RemainingInput,
    RemovalInput,
    Restoration,
    WaitState,
)
from function_apps.deployments.activities.keep_output import Removed, keep_output
from function_apps.deployments.activities.observe_surface import (
    activate_schedule,
    keep_what_has_room,
    observe,
    poll_until,
    remove_all_but,
    set_weights,
    surface_component,
    surface_of,
)
from function_apps.deployments.activities.prove_release import prove, prove_within
from function_apps.deployments.errors import CannotStart
from function_apps.deployments.events import alert_raised
from function_apps.deployments.model import (
    alerts,
    jobs,
    release_unit,
    traffic_split,
)
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.deployment_target import with_left_over
from function_apps.deployments.model.holds import add_holds, hold_of, rejected_components
from function_apps.deployments.model.lifecycle import (
    ROLLBACK_ASKED,
    Restored,
    RestoreFailed,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DeploymentSet,
    commit_deployment_step,
    last_step,
    load_owned_deployment,
    load_owned_set,
)
from function_apps.deployments.use_cases.configuration_content import read_merge
from shared.contracts.alerts import Alert
from shared.contracts.deployments import DeploymentKind, DeploymentStatus, EndReason
from shared.contracts.releases import Proof, ReleasedComponent, ReleaseUnit
from shared.contracts.values import TEXT_MAX, Reason
from shared.durable.activity import ActivityContext, Step
from shared.kernel.errors import Unavailable
from shared.kernel.fence import StaleFence
from shared.kernel.operation import Operation
from shared.surfaces.errors import (
    DataMissing,
    NotOwner,
    PathNotOwned,
    RevisionDiffers,
    RouteTaken,
    SiteMissing,
)
from shared.surfaces.observed_state import LiveComponent

_NO_HOLD: Final = frozenset(
    {
        "Cancelled",
        StaleFence.code,
        RouteTaken.code,
        PathNotOwned.code,
        SiteMissing.code,
        DataMissing.code,
        CannotStart.code,
        Unavailable.code,
    }
)
"""Codes of ends that say nothing against the unit: a person's, or the surface's."""


async def restore_previous(
    given: ModuleInput, ctx: ActivityContext, app: DeploymentsApp
) -> Restoration:
    """Give the traffic back to the previous version, with its instances.

    A new module gets no traffic any longer. Where the previous version is dead, the traffic stays
    on what is ready. A schedule is active again; a job has run, and is not run again.
    """
    deployment = await load_owned_deployment(ctx, app)
    before = deployment.before(given.module)
    component = before or deployment.candidate(given.module)
    if component is None:
        return Restoration(WaitState.PASSED)
    surface, workload = surface_of(component, app), surface_component(component, deployment)
    live = await observe(component, deployment, app)
    if before is None or before.runs_once is not None:
        if live is not None and live.weights:
            await surface.set_weights(workload, {}, ctx.fence(deployment))
        return Restoration(WaitState.PASSED)
    revision = live.revision(before.release_revision) if live else None
    if traffic_split.needs_apply(revision, before):
        # Scaling may have raised the number since: never fewer than live, or than it had.
        number = traffic_split.live_replicas(live, before)
        had = deployment.live_replicas.get(before.module_id, 0)
        replicas = max(before.replicas, had if number is None else number)
        if number is None:
            await _start_again(before, replicas, deployment, ctx, app)
        else:
            # Its content is not compared: traffic goes back also to one that somebody changed.
            with suppress(NotOwner):
                revision_number, fence = before.release_revision, ctx.fence(deployment)
                await surface.scale(workload, revision_number, replicas, fence)
    else:
        # What was added since may have no room beside the rejected version.
        await keep_what_has_room(before, live, deployment, ctx, app)

    live = await poll_until(
        lambda live: traffic_split.is_whole(live, before),
        lambda: observe(before, deployment, app),
        app,
        watch_s=given.watch_s,
    )
    if before.schedule is not None and live is not None:
        await activate_schedule(before, deployment, ctx, app)
        return Restoration(WaitState.PASSED)
    return await _give_traffic_back(deployment, before, live, ctx, app)


async def _start_again(
    before: ReleasedComponent,
    replicas: int,
    deployment: Deployment,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> None:
    """Apply *before*, which is gone or on its way out, with so many instances."""
    values = await read_merge(before.configuration, deployment.tenant_id, app)
    spec = release_unit.to_revision_spec(
        before, deployment.environment_id, deployment.tenant_id, app.rules.rollout, values
    )
    # What somebody changed stays as it is: traffic goes back to what is ready of it.
    with suppress(RevisionDiffers):
        surface = surface_of(before, app)
        await surface.apply(replace(spec, replicas=replicas), ctx.fence(deployment))


async def _give_traffic_back(
    deployment: Deployment,
    before: ReleasedComponent,
    live: LiveComponent | None,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> Restoration:
    """Give *before* what it carries; answer whether that is all, or never will be."""
    if live is None:
        return Restoration(WaitState.PENDING, f"{before.module_id} is not live", is_dead=True)
    candidate = deployment.candidate(before.module_id)
    minimums = traffic_split.minimums(before, candidate)
    split = traffic_split.back(
        candidate.release_revision if candidate else None, before.release_revision, live, minimums
    )
    weights = live.weights if split is None else split.weights
    weights = {} if before.port is None else weights
    if weights != live.weights:
        await set_weights(before, weights, deployment, ctx, app)
    if traffic_split.is_whole(live, before):
        return Restoration(WaitState.PASSED)
    revision = live.revision(before.release_revision)
    is_over = traffic_split.is_dead(revision, deployment.updated_at)
    needed = traffic_split.needed(revision, minimums) if revision else before.replicas
    ready, replicas = revision.ready if revision else 0, needed
    stays = [f"{number} ({percent} %)" for number, percent in weights.items()]
    message = (
        f"{before.module_id}: {ready} of {replicas} instances of revision "
        f"{before.release_revision}, which was in force, are ready; the traffic is on revision "
        f"{', '.join(stays) or 'none'}"
    )
    state = WaitState.FAILED if is_over else WaitState.PENDING
    return Restoration(state, message, is_dead=not ready)


async def remove_candidate(given: RemovalInput, ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Remove all but the previous version, or what still serves.

    Also where nothing is live a write leaves the new token: a late application of the interrupted
    rollout is refused.
    """
    deployment = await load_owned_deployment(ctx, app)
    before, candidate = deployment.before(given.module), deployment.candidate(given.module)
    component = candidate or before
    if component is None:
        return
    surface, workload = surface_of(component, app), surface_component(component, deployment)
    live = await observe(component, deployment, app)
    previous = before.release_revision if before else None
    kept: Collection[int] = () if previous is None else {previous}
    if live is not None:
        rejected = candidate.release_revision if candidate else None
        kept = traffic_split.kept_revisions(
            live, rejected, previous, is_previous_dead=given.is_stranded
        )
    if candidate is not None:
        fence, number = ctx.fence(deployment), candidate.release_revision
        revision = live.revision(number) if live else None
        if number in kept and revision is not None:
            with suppress(NotOwner):  # the token is there, and the number is of its rules
                await surface.scale(workload, number, revision.replicas, fence)
        else:
            if revision is not None:
                await keep_output([Removed(workload, revision)], surface, fence, ctx, app)
            await surface.remove(workload, number, fence)
    await remove_all_but(kept, component, deployment, ctx, app)


async def finish_rollback(
    given: RemainingInput, ctx: ActivityContext, app: DeploymentsApp
) -> DeploymentStatus | None:
    """Prove the previous unit, hold the rejected one, and publish it; Failed if something is left.

    None while the proof shows a mismatch and another one may be asked.
    """
    found = await load_owned_set(ctx, app)
    deployment = found.deployment
    kept = tuple(
        component
        for component in deployment.previous
        if component.module_id not in given.stranded and component.runs_once is None
    )
    ask = prove if given.is_last else prove_within
    proof, mismatches = await ask(found, kept, app)
    if mismatches and not given.is_last:
        return None
    remaining = (*given.remaining, *mismatches)

    def decide(known: DeploymentSet, operation: Operation) -> Step[DeploymentStatus | None]:
        return _finished(known, given, proof, remaining, operation, ctx)

    return await commit_deployment_step(ctx, app, decide)


def _finished(
    known: DeploymentSet,
    given: RemainingInput,
    proof: Proof,
    remaining: tuple[str, ...],
    operation: Operation,
    ctx: ActivityContext,
) -> Step[DeploymentStatus | None]:
    deployment, now = known.deployment, ctx.now()
    assert deployment.reason is not None, deployment.deployment_id
    rejected = _rejected_components(deployment)
    why = Reason(code=deployment.reason.code, message=deployment.reason.message)
    holds = tuple(hold_of(component, deployment, why, now) for component in rejected)
    reason = jobs.with_left_out(_with_dead_previous(deployment.reason, given), deployment.previous)
    restored = ReleaseUnit(
        components=tuple(deployment.previous),
        tenant_binding_revision=known.target.binding_revision,
        removed=tuple(m for m in deployment.modules if deployment.before(m) is None),
    )
    left = tuple(sentence[:2048] for sentence in remaining[:100])
    event = (
        RestoreFailed(proof, restored, reason, holds, left)
        if remaining
        else Restored(proof, restored, reason, holds)
    )
    ended = evolve(deployment, event, now)
    renewed = {
        module: replace(known.target.module(module), revision=revision, renewed=ended.deployment_id)
        for module, revision in ended.renewed_revisions.items()
        if module not in given.stranded
    }
    target = replace(
        known.target,
        holds=add_holds(known.target.holds, rejected, ended.deployment_id),
        modules={**alerts.with_open_alerts(known.target, given.stranded, now), **renewed},
    )
    left_by = ended.deployment_id if remaining else None
    target = with_left_over(target, ended.modules, left_by)
    raised = [
        alert_raised(ended, component, given.remaining, now)
        for component in alerts.components_without_previous(ended, given.stranded, known.target)
    ]
    return last_step(
        ended.status, operation, known, ended, target, ctx, raised, action="FinishRollback"
    )


def _rejected_components(deployment: Deployment) -> tuple[ReleasedComponent, ...]:
    assert deployment.reason is not None, deployment.deployment_id
    code, is_secret = deployment.reason.code, deployment.kind is DeploymentKind.SECRET
    if code in _NO_HOLD or (is_secret and code == ROLLBACK_ASKED):
        return ()
    return rejected_components(deployment.released_components, deployment.previous)


def _with_dead_previous(reason: EndReason, given: RemainingInput) -> EndReason:
    """Return *reason*, or that there was nothing to go back to, with all its evidence."""
    if not given.stranded:
        return reason
    message = "; ".join((reason.message, *given.remaining))[:TEXT_MAX]
    return reason.model_copy(update={"code": Alert.NOTHING_TO_GO_BACK_TO.value, "message": message})
