"""RollOutSecretVersion: bring one version of a secret to the release in force of one module."""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.deployments.errors import NothingToRollOut
from function_apps.deployments.model import bound_secrets, secret_rollout
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import find_secret
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import ROLL_OUT_SECRET, TARGETS, releases_of
from function_apps.deployments.use_cases.deploy import enter_queue
from function_apps.deployments.use_cases.end_at_once import end_at_once
from shared.contracts.roll_outs import RollOutSecretVersion, SecretRollout
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def roll_out_secret_version(
    command: RollOutSecretVersion, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Put a deployment of kind secret into the queue of its module.

    A version that is on its way or in force is answered by that one, an earlier rotation than was
    asked for is nothing. Where there is nothing to roll out, the version is recorded for the next
    release, and the deployment ends as Cancelled at once.

    Raises:
        Unavailable: no event of its binding has come yet.
        EnvironmentNotUsable, BindingRequired, BindingSuspended, IsolationBreached, QueueFull.
    """
    environment_id, rollout = command.environment_id, command.rollout
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)
    key = secret_rollout.key_of(rollout.binding_id, rollout.version)

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        if any(entry.key == key for entry in target.queue):
            return Decision({}, is_repeat=True)
        try:
            fact = secret_rollout.bound_fact(rollout, target)
            is_elsewhere = command.vault_uri is not None and fact.vault != command.vault_uri
            if is_elsewhere or secret_rollout.is_outdated(rollout, fact):
                return NOTHING
            known = releases_of(rollout.module_id, target, view)
            release = secret_rollout.release_in_force(rollout, target, known)
        except NothingToRollOut as nothing:
            return _ended(rollout, nothing, target, ids, ctx)
        is_changing = any(rollout.module_id in entry.modules for entry in target.queue)
        is_in_force = secret_rollout.is_given(rollout, release) and not is_changing
        asked = bound_secrets.with_rollout(target.facts, rollout, is_in_force=is_in_force)
        target = replace(target, facts=asked)
        if is_in_force:
            return Decision({}, writes=[TARGETS.put(target)], is_repeat=True)
        deployment = secret_rollout.new_rollout(rollout, environment_id, release, target, ids, ctx)
        # What else it needs is checked when it starts, and then told by its end.
        return enter_queue(deployment, (), deployment.key, ids, target, ctx, kind=ROLL_OUT_SECRET)

    def in_force(view: View) -> Sequence[str]:
        return view.get(TARGETS, environment_id).module(rollout.module_id).released_in

    return await app.service.work.change(ctx, TARGETS, environment_id, decide, linked=in_force)


def _ended(
    rollout: SecretRollout,
    nothing: NothingToRollOut,
    target: DeploymentTarget,
    ids: NewIds,
    ctx: Context,
) -> Decision[Json]:
    """Record the version, and say by a deployment that has ended that nothing is rolled out."""
    deployment = secret_rollout.new_rollout(rollout, target.environment_id, None, target, ids, ctx)
    writes = []
    fact = find_secret(target.facts, rollout.module_id, rollout.secret_name)
    if fact is not None and fact.version:
        facts = bound_secrets.with_rollout(target.facts, rollout, is_in_force=True)
        writes.append(TARGETS.put(replace(target, facts=facts)))
    return end_at_once(deployment, nothing, ids, ctx, kind=ROLL_OUT_SECRET, writes=writes)
