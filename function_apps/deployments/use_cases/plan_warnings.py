"""Compares a plan with what runs: how many instances it brings, and what is probably not meant.

A dry run shows it, and the answer of the request has the same warnings.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

from function_apps.deployments.errors import EnvironmentUnknown
from function_apps.deployments.model import neighbours, promotion, revoked_secrets
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SECRET
from function_apps.deployments.model.plan_checks import Plan, PlanContext
from function_apps.deployments.model.promotion import Source
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.components_in_force import components_in_force
from function_apps.deployments.use_cases.room_in_quotas import WARNED_WITHIN, quota_warnings
from shared.contracts.deployments import Deploy
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import RolloutDefaults, StrategyKind
from shared.contracts.values import ModuleId, TenantId
from shared.kernel.asked_once import AskedOnce
from shared.kernel.concurrency import answered_within, isolate
from shared.kernel.dataclass import dataclass
from shared.kernel.observation import Present
from shared.surfaces.observed_state import Phase
from shared.surfaces.port import configured_surface
from shared.surfaces.spec import SurfaceComponent

LISTED_MAX: Final = 100
"""Of the refusals and of the warnings of a plan, as many as it shows."""
_NAMED_MAX: Final = 5


@dataclass(frozen=True)
class Effects:
    """The warnings of a plan, and how many instances each of its components begins with."""

    warnings: tuple[str, ...]
    replicas: Mapping[ModuleId, int] = field(default_factory=dict)


def of_refused(command: Deploy, plan: Plan, source: Source | None) -> Effects:
    """Return what is to be said of *plan*, which begins nothing, promoted from *source*."""
    return Effects(tuple(_of_command(command, plan, source)[:LISTED_MAX]))


def of_repeat(command: Deploy) -> Effects:
    """Return what is to be said of *command*, which another release answers."""
    return Effects(command.warnings[:LISTED_MAX])


async def of_plan(
    command: Deploy,
    plan: Plan,
    source: Source | None,
    target: DeploymentTarget,
    tenant: TenantId,
    context: PlanContext,
    app: DeploymentsApp,
    once: AskedOnce,
) -> Effects:
    """Return what *plan*, which nothing refuses, comes to. A surface that is away warns of nothing.

    A release of which a policy has the number begins with as many as run. One with its own number
    may bring fewer: after the end of a policy, or where somebody added instances by hand.
    """
    lasting = [each for each in plan.components if not each.ends]
    readings = asyncio.gather(*(_running(each, target, tenant, app, once) for each in lasting))
    quotas, running = await asyncio.gather(
        quota_warnings(command, plan.components, tenant, context, app, once), readings
    )
    replicas = {each.module_id: each.replicas for each in plan.components}
    fewer: list[str] = []
    for each, number in zip(lasting, running, strict=True):
        if each.scaling_policy_revision:
            replicas[each.module_id] = max(each.replicas, number)
        elif number > each.replicas:
            fewer.append(_fewer(each, number))
    left_out: Sequence[str] = ()
    of_secrets = [each for each in target.facts.values() if each.kind == SECRET]
    if revoked := {each.module for each in of_secrets if not each.version}:
        modules = [each.module_id for each in plan.components if each.module_id in revoked]
        in_force = await components_in_force(sorted(modules), target, tenant, app)
        had = revoked_secrets.secrets_of(in_force)
        left_out = revoked_secrets.not_given(had, plan.components, target.facts)
    warnings = (
        *_of_command(command, plan, source),
        *quotas,
        *_unknown_environment(target, app.rules.rollout),
        *stopped_first(command, target),
        *fewer,
        *left_out,
    )
    return Effects(warnings[:LISTED_MAX], replicas)


def _of_command(command: Deploy, plan: Plan, source: Source | None) -> Sequence[str]:
    """Return what is to be said of *command* whatever runs."""
    if source is None:
        return command.warnings
    left = promotion.left_policies(promotion.scaled_modules(source), plan.components)
    settings = promotion.left_settings(source, plan.components)
    return (*(reason.message for reason in left), *settings, *command.warnings)


def stopped_first(command: Deploy, target: DeploymentTarget) -> Sequence[str]:
    """Return that a recreate leaves its modules without an instance for a time, if it does."""
    if command.strategy.kind is not StrategyKind.RECREATE:
        return ()
    modules = [each.module_id for each in command.components if each.runs_once is None]
    stopped = [each for each in modules if neighbours.is_there(each, target, target.queue)]
    if not stopped:
        return ()
    named = ", ".join(stopped[:_NAMED_MAX]) + (", …" if len(stopped) > _NAMED_MAX else "")
    sentence = (
        f"`recreate` stops {named} before the new version starts: no instance serves until that"
        " is ready"
    )
    return [sentence]


def _fewer(component: ReleasedComponent, number: int) -> str:
    return (
        f"{component.module_id} runs {number} instances now, and this release brings"
        f" {component.replicas}: name as many as carry the load (`replicas`), or give it a scaling"
        " policy"
    )


def _unknown_environment(target: DeploymentTarget, rules: RolloutDefaults) -> Sequence[str]:
    """Return the sentence about an environment of which nothing has been told; none of others."""
    if target.environment is not None:
        return ()
    sentence = (
        f"{target.environment_id} is not known: it is no environment of this tenant, nor one that"
        " the tenant is bound to, unless the event of that is on its way; a release waits"
        f" {rules.unknown_environment_wait} for it, then it fails as {EnvironmentUnknown.code}"
    )
    return [sentence]


async def _running(
    component: ReleasedComponent,
    target: DeploymentTarget,
    tenant: TenantId,
    app: DeploymentsApp,
    once: AskedOnce,
) -> int:
    """Return how many instances the version in force has; 0 where that is not known."""
    in_force = target.module(component.module_id).revision
    if not in_force:
        return 0
    surface = configured_surface(app.surfaces, component.compute_target)
    workload = SurfaceComponent(target.environment_id, tenant, component.module_id)
    reading = await once.ask(
        (workload, in_force),
        lambda: isolate(
            answered_within(surface.observe(workload), WARNED_WITHIN, "its surface"),
            f"the instances of {component.module_id} are in no plan",
        ),
    )
    revision = reading.value.revision(in_force) if isinstance(reading, Present) else None
    return 0 if revision is None or revision.phase is Phase.DRAINING else revision.replicas
