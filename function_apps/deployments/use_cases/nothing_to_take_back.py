"""Refuses a rollback that would start again what runs, and names the release to go back to."""

from collections.abc import Sequence
from typing import Final

from function_apps.deployments.errors import NothingToTakeBack
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.rollback_effect import differs, require_effect
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import TenantId

_EARLIER_MAX: Final = 20
"""Roll-outs that may have followed a release: as many are read, one by one, of a refused one."""


async def require_taken_back(
    rollback: Deployment,
    back: Sequence[ReleasedComponent],
    running: Sequence[ReleasedComponent],
    goal: Deployment,
    target: DeploymentTarget,
    tenant: TenantId,
    app: DeploymentsApp,
) -> None:
    """Refuse *rollback*, which brings *back* what runs; name a release before *goal* that does not.

    Raises:
        NothingToTakeBack: see there.
    """
    try:
        require_effect(rollback, back, running, target.facts)
    except NothingToTakeBack as refusal:
        earlier = await _earlier_release(goal, running, target, tenant, app)
        if earlier is None:
            raise
        raise refusal.naming(earlier.deployment_id, earlier.release_ref) from None


async def _earlier_release(
    undone: Deployment,
    running: Sequence[ReleasedComponent],
    target: DeploymentTarget,
    tenant: TenantId,
    app: DeploymentsApp,
) -> Deployment | None:
    """Return the last release before *undone* that is another than what runs; None for none known.

    One of several modules may have come after several releases: none of them is the one before.
    """
    for _ in range(_EARLIER_MAX):
        names = {each.deployment_id for each in undone.earlier_releases.values()}
        if len(names) != 1:
            return None
        found = await app.service.work.find(DEPLOYMENTS, names.pop(), tenant)
        if found is None or found.status is not DeploymentStatus.COMPLETED:
            return None
        if {*undone.modules} - {each.module_id for each in found.released_components}:
            return None
        if differs(found, running, target.facts):
            return found
        undone = found
    return None
