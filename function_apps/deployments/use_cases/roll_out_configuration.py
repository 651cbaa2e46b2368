"""RollOutConfiguration: bring what is recorded to the releases in force that float."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from function_apps.deployments.errors import CannotBePlanned, NothingToRollOut
from function_apps.deployments.model import configuration_roll_out as roll_outs
from function_apps.deployments.model import module_queue, plan_checks
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.deployment import Deployment, deploy_command
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import find_layer
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    ROLL_OUT_CONFIGURATION,
    TARGETS,
    load_deployments,
)
from function_apps.deployments.use_cases.deploy import enter_queue, plan_context
from function_apps.deployments.use_cases.pin_configuration import (
    configure,
    keep_merges,
    load_tenant_layer,
)
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.deployments import Deploy
from shared.contracts.roll_outs import RollOutConfiguration
from shared.contracts.values import DeploymentId, ModuleId
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.ids import configuration_id, tenant_key
from shared.messaging.outbox import Audited, Send
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.store import partition_of

_RETRY_S: Final = 5.0


async def roll_out_configuration(
    command: RollOutConfiguration, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Put a deployment of kind configuration into the queues of the modules that float.

    One of them where one deployment released them all, else one command to itself for each. Where
    they run with what is recorded nothing is done; where a roll-out of theirs waits that brings it.

    Raises:
        Unavailable: the version, or its content, is not recorded yet.
        Invalid: the version has other content.
        CannotBePlanned, Held, QueueFull: as for any deployment.
    """
    environment_id = command.environment_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)
    target = await app.service.work.load(TARGETS, environment_id, ctx.tenant)
    await _require_recorded(command, target, ctx, app)
    groups = roll_outs.modules_by_holder(
        target, roll_outs.floating_modules(target, command.modules)
    )
    if len(groups) > 1:
        return await _send_each(command, groups, target, ctx, app)
    once = AskedOnce()

    async def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        modules = roll_outs.floating_modules(target, command.modules)
        environment = target.environment
        if not modules or environment is None:
            return NOTHING
        if not environment.is_usable and not environment.is_on_its_way:
            return NOTHING  # it is being taken away, and its releases with it
        queued = roll_outs.queued_roll_out(target, modules)
        if queued is not None:
            return Decision({"deploymentId": queued.deployment}, is_repeat=True)
        return await _begin(command, modules, target, ids, once, ctx, app)

    return await app.service.work.change(ctx, TARGETS, environment_id, decide)


async def _begin(
    command: RollOutConfiguration,
    modules: Sequence[ModuleId],
    target: DeploymentTarget,
    ids: NewIds,
    once: AskedOnce,
    ctx: Context,
    app: DeploymentsApp,
) -> Decision[Json]:
    holders = await _holders(target, modules, ctx, app)
    running = roll_outs.in_force(target, modules, holders)
    if not running:
        return NOTHING
    holder = next(iter(holders.values()))
    groups = roll_outs.modules_by_terms(holder, [each.component.module_id for each in running])
    if len(groups) > 1:
        rows = [_send(command, group, target, app) for group in groups]
        return Decision({}, outbox=rows, audited=Audited("SendRollOut", holder.deployment_id))
    components = tuple(each.component for each in running)
    asked = roll_outs.command_of(holder, components, command.configuration_id)
    given = await _configure_newest(asked, target, ctx, app)
    components = roll_outs.outdated(running, given)
    if not components:
        return NOTHING
    asked = asked.model_copy(update={"components": components})
    context = await once.ask(
        components, lambda: plan_context(components, command.environment_id, ctx, app)
    )
    context = replace(context, configurations=given)
    plan = plan_checks.require_plan(asked, ctx.tenant, target, target.queue, context)
    await keep_merges(given, ctx, app)
    key = module_queue.roll_out_key(modules)
    deployment = roll_outs.roll_out_of(asked, key, given, target, ids, ctx)
    return enter_queue(
        deployment, plan.components, "", ids, target, ctx, kind=ROLL_OUT_CONFIGURATION
    )


async def renew(roll_out: Deployment, ctx: Context, app: DeploymentsApp) -> Deployment:
    """Return *roll_out*, which is about to start, of what is in force and recorded by now.

    Raises:
        NothingToRollOut: that is what runs, or the modules are gone, or float no longer.
        CannotBePlanned: what is recorded does not fit the schemas of its layers.
        Unavailable.
    """
    target = await app.service.work.load(TARGETS, roll_out.environment_id, ctx.tenant)
    named = [component.module_id for component in roll_out.components]
    modules = roll_outs.floating_modules(target, named)
    running = roll_outs.in_force(target, modules, await _holders(target, modules, ctx, app))
    components = tuple(each.component for each in running)
    asked = deploy_command(roll_out).model_copy(update={"components": components})
    given = await _configure_newest(asked, target, ctx, app) if running else Configurations()
    components = roll_outs.outdated(running, given)
    if components and given.refusals:
        raise CannotBePlanned(given.refusals)
    if not components:
        raise NothingToRollOut(
            f"{', '.join(named)}: what is in force has what is recorded, or floats no longer"
        )
    await keep_merges(given, ctx, app)
    return roll_outs.renewed(roll_out, components, given)


async def _configure_newest(
    asked: Deploy, target: DeploymentTarget, ctx: Context, app: DeploymentsApp
) -> Configurations:
    """Return what is recorded now for the modules of *asked*.

    The layer that a roll-out names may be that of a module which has it by now.
    """
    return await configure(asked.model_copy(update={"configuration": None}), target, ctx, app)


async def _holders(
    target: DeploymentTarget, modules: Sequence[ModuleId], ctx: Context, app: DeploymentsApp
) -> Mapping[str, Deployment]:
    """Return the deployments that released what is in force of *modules*."""
    ids = sorted(roll_outs.modules_by_holder(target, modules))
    partition = partition_of(ctx.tenant, target.environment_id)
    return await load_deployments(ids, partition, app)


async def _require_recorded(
    command: RollOutConfiguration, target: DeploymentTarget, ctx: Context, app: DeploymentsApp
) -> None:
    """Refuse to roll out what is not recorded: its event may be on its way, or is another.

    Raises:
        Unavailable, Invalid.
    """
    wanted, number = command.configuration_id, command.version
    is_tenants = wanted == configuration_id(tenant_key(ctx.tenant), ConfigurationLayer.TENANT)
    fact = await load_tenant_layer(ctx, app) if is_tenants else find_layer(target.facts, wanted)
    if fact is None or int(fact.version) < number:
        raise Unavailable(
            f"version {number} of {wanted} is not known here yet", retry_after_s=_RETRY_S
        )
    content_hash = fact.versions.get(str(number), command.content_hash)
    if content_hash != command.content_hash:
        raise Invalid(
            f"version {number} of {wanted} is {content_hash}, got {command.content_hash}",
            target="contentHash",
        )


async def _send_each(
    command: RollOutConfiguration,
    groups: Mapping[DeploymentId, Sequence[ModuleId]],
    target: DeploymentTarget,
    ctx: Context,
    app: DeploymentsApp,
) -> Outcome[Json]:
    """Send itself *command* for each of *groups*; each is sent once, however often this runs."""
    cause, partition = ctx.cause, partition_of(ctx.tenant, command.environment_id)
    outcome: Outcome[Json] = Outcome({})
    for holder, modules in groups.items():
        row = _send(command, modules, target, app)
        marker = f"{cause.marker}/{holder}" if cause.marker else None
        once = replace(ctx, cause=replace(cause, marker=marker))
        decision: Decision[Json] = Decision(
            {}, outbox=[row], audited=Audited("SendRollOut", holder)
        )
        decide = partial(_as_decided, decision)
        outcome = await app.service.work.commit(once, partition, [], decide)
    return outcome


def _send(
    command: RollOutConfiguration,
    modules: Sequence[ModuleId],
    target: DeploymentTarget,
    app: DeploymentsApp,
) -> Send:
    """Return *command* to itself, for some of its modules."""
    own = command.model_copy(update={"modules": tuple(modules)})
    return Send(app.service.name, own, project=target.project)


def _as_decided(decision: Decision[Json], _view: View) -> Decision[Json]:
    return decision
