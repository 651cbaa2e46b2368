"""Compares the secrets that modules have with those that a plan gives them."""

from collections.abc import Container, Iterator, Sequence

from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SecretFact
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.components_in_force import components_in_force
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId, TenantId


async def secrets_left_out(
    components: Sequence[ReleasedComponent],
    revoked: Sequence[SecretFact],
    target: DeploymentTarget,
    tenant: TenantId,
    app: DeploymentsApp,
) -> Sequence[str]:
    """Return a sentence for each *revoked* secret that one of *components* has, and would not.

    What the release gives in its place, another secret or a variable of `environ`, is no loss.
    """
    planned = {each.module_id: each for each in components}
    modules = sorted({each.module for each in revoked} & {*planned})
    names = {(each.module, each.name) for each in revoked}
    running = await components_in_force([*map(ModuleId, modules)], target, tenant, app)
    return [
        sentence for each in running for sentence in _left_out(each, planned[each.module_id], names)
    ]


def _left_out(
    running: ReleasedComponent, planned: ReleasedComponent, revoked: Container[tuple[str, str]]
) -> Iterator[str]:
    places = {(each.delivery, each.target) for each in planned.secrets}
    for secret in running.secrets:
        is_given = (secret.delivery, secret.target) in places or secret.target in planned.environ
        if (running.module_id, secret.name) in revoked and not is_given:
            yield (
                f"{running.module_id} has the secret {secret.name} as {secret.target}"
                f" ({secret.delivery}) now, and this release does not: its binding was revoked"
            )
