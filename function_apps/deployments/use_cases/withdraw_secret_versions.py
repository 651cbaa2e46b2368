"""WithdrawSecretVersions: no older version of a secret is given to one module any more."""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.deployments.model import (
    bound_secrets,
    module_queue,
    predecessors,
    secret_rollout,
)
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import find_secret, secret_key
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS, TARGETS, releases_of
from shared.contracts.roll_outs import WithdrawSecretVersions
from shared.contracts.secret_proofs import ConfirmWithdrawal
from shared.contracts.values import DeploymentId, ModuleId
from shared.kernel.context import Context
from shared.messaging.outbox import Audited, Send
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def withdraw_secret_versions(
    command: WithdrawSecretVersions, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record it, and confirm it where nothing of the module has an older version, or may get one.

    Nothing is confirmed of a binding whose event has not come yet, nor of one to another vault.
    """
    environment_id, module = command.environment_id, command.module_id
    number = bound_secrets.number_of(command.rotation_id)

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        fact = find_secret(target.facts, module, command.secret_name)
        if fact is None or not fact.version or fact.is_over(number):
            return NOTHING
        if fact.vault not in {"", command.vault_uri}:
            return NOTHING
        key = secret_key(module, command.secret_name)
        facts = {**target.facts, key: bound_secrets.withdraw(fact, command.version, number)}
        after = replace(target, facts=facts)
        confirmed = [_confirmation(command)] if _is_free(command, target, view) else []
        if after == target:
            return Decision({}, outbox=confirmed)
        audited = Audited("WithdrawSecretVersions", command.binding_id)
        return Decision({}, writes=[TARGETS.put(after)], outbox=confirmed, audited=audited)

    def deployments(view: View) -> Sequence[str]:
        target = view.get(TARGETS, environment_id)
        return [*target.module(module).released_in, *_others(target, module)]

    return await app.service.work.change(ctx, TARGETS, environment_id, decide, linked=deployments)


def _is_free(command: WithdrawSecretVersions, target: DeploymentTarget, view: View) -> bool:
    """Return whether nothing of the module began with an older version, or has one.

    What waits in its queue has not begun: it is given what is recorded when it does.
    """
    module = command.module_id
    for each in _others(target, module):
        deployment = view.find(DEPLOYMENTS, each)
        if deployment is None or secret_rollout.may_start_another(command, deployment):
            return False
    found = predecessors.module_in_force(target, module, releases_of(module, target, view))
    if found is None or found[1].runs_once is not None:
        return True
    return found[1].secret_versions.get(command.secret_name) in {None, command.version}


def _others(target: DeploymentTarget, module: ModuleId) -> Sequence[DeploymentId]:
    """Return the deployments with instances of *module* beside what is in force."""
    left_over = target.module(module).left_over
    return [*module_queue.begun_deployments(target, module), *([left_over] if left_over else [])]


def _confirmation(command: WithdrawSecretVersions) -> Send:
    confirmed = ConfirmWithdrawal(
        environment_id=command.environment_id,
        binding_id=command.binding_id,
        rotation_id=command.rotation_id,
    )
    return Send("secret_bindings", confirmed, module=command.module_id)
