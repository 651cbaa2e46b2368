"""Compares what runs of a module with the number of instances that a plan brings."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import TenantId
from shared.kernel.concurrency import answered_within, isolate
from shared.kernel.observation import Present
from shared.surfaces.port import configured_surface
from shared.surfaces.spec import SurfaceComponent

_READ_WITHIN: Final = timedelta(seconds=10)
"""For a surface to answer: a plan waits for it, and is a plan without its warning too."""


async def fewer_instances(
    components: Sequence[ReleasedComponent],
    target: DeploymentTarget,
    tenant: TenantId,
    app: DeploymentsApp,
) -> Sequence[str]:
    """Return a sentence for each of *components* that would have fewer instances than run now.

    So it is after a scaling policy was deleted, or somebody added instances by hand. One that a
    policy scales begins with as many as run.
    """
    owned = [each for each in components if not each.scaling_policy_revision and not each.ends]
    running = await asyncio.gather(*(_running(each, target, tenant, app) for each in owned))
    return [
        f"{each.module_id} runs {number} instances now, and this release brings {each.replicas}:"
        " name as many as carry the load (`replicas`), or give it a scaling policy"
        for each, number in zip(owned, running, strict=True)
        if number > each.replicas
    ]


async def _running(
    component: ReleasedComponent, target: DeploymentTarget, tenant: TenantId, app: DeploymentsApp
) -> int:
    """Return how many instances the version in force has; 0 where that is not known."""
    in_force = target.module(component.module_id).revision
    if not in_force:
        return 0
    surface = configured_surface(app.surfaces, component.compute_target)
    workload = SurfaceComponent(target.environment_id, tenant, component.module_id)
    answer = answered_within(surface.observe(workload), _READ_WITHIN, "its surface")
    reading = await isolate(answer, f"the instances of {component.module_id} are in no plan")
    revision = reading.value.revision(in_force) if isinstance(reading, Present) else None
    return 0 if revision is None else revision.replicas
