"""Compares quota and capacity of a tenant with what a plan, or a recreate, starts."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, cast

from function_apps.deployments.errors import CannotStart
from function_apps.deployments.model import release_unit
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.plan_checks import PlanContext
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.deployments import Deploy
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import StrategyKind
from shared.contracts.values import ComputeTargetKind, EnvironmentId, TenantId
from shared.kernel.asked_once import AskedOnce
from shared.kernel.concurrency import answered_within, isolate
from shared.kernel.observation import Present
from shared.surfaces.boundaries import (
    Boundary,
    Quota,
    has_boundaries,
    limited,
    limits_of,
    quota_of,
    refusal,
)
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.port import Boundaries, configured_surface
from shared.surfaces.spec import RevisionSpec

WARNED_WITHIN: Final = timedelta(seconds=3)
"""For a surface to answer a request, which waits for it and is good without its warning too."""
_READ_WITHIN: Final = timedelta(seconds=10)
"""For a surface to answer before something is stopped that may not come again."""
_TENANT: Final = "tenant"
_CAPACITY: Final = "capacity"
_HOLDS: Final = {_TENANT: "quota of the tenant", _CAPACITY: "capacity of the environment"}


async def quota_warnings(
    command: Deploy,
    components: Sequence[ReleasedComponent],
    tenant: TenantId,
    context: PlanContext,
    app: DeploymentsApp,
    once: AskedOnce,
) -> Sequence[str]:
    """Return a sentence for each surface whose quota has no room for *components* at the moment.

    It is no refusal: room may come until it is their turn. Where a boundary cannot be read nothing
    is said. A module with a scaling policy is counted with the instances that the plan gives it.
    """
    specs = _instances(components, command.environment_id, tenant, app)
    kinds, capabilities = sorted(specs), context.capabilities
    boundaries = await once.ask(
        ("boundaries", kinds),
        lambda: _boundaries(
            command.environment_id, tenant, kinds, capabilities, app, WARNED_WITHIN
        ),
    )
    is_recreate = command.strategy.kind is StrategyKind.RECREATE
    shortages = {
        kind: _shortage(boundary, specs[kind], is_recreate=is_recreate)
        for kind, boundary in boundaries.items()
    }
    return [f"{kind}: {text}" for kind, text in shortages.items() if text]


async def require_quota(
    deployment: Deployment,
    capabilities: Mapping[ComputeTargetKind, Capabilities],
    app: DeploymentsApp,
) -> None:
    """Refuse a recreate that its quota never takes, before it stops what serves.

    Raises:
        CannotStart: the whole quota has no room for it.
    """
    environment, tenant = deployment.environment_id, deployment.tenant_id
    specs = _instances(deployment.released_components, environment, tenant, app)
    boundaries = await _boundaries(environment, tenant, list(specs), capabilities, app)
    for kind, boundary in boundaries.items():
        if shortage := _shortage(boundary, specs[kind], is_recreate=True):
            raise CannotStart(f"{kind}: {shortage}; nothing was stopped for it")


async def has_room_to_go_back(
    deployment: Deployment,
    capabilities: Mapping[ComputeTargetKind, Capabilities],
    app: DeploymentsApp,
) -> bool:
    """Return whether what *deployment* replaced has room beside all that runs now.

    True also where the boundary cannot be read: nothing that serves is taken away on a guess.
    """
    environment, tenant = deployment.environment_id, deployment.tenant_id
    specs = _instances(deployment.previous, environment, tenant, app)
    boundaries = await _boundaries(environment, tenant, list(specs), capabilities, app)
    return not any(
        _shortage(boundary, specs[kind], is_recreate=False) for kind, boundary in boundaries.items()
    )


def _instances(
    components: Sequence[ReleasedComponent],
    environment: EnvironmentId,
    tenant: TenantId,
    app: DeploymentsApp,
) -> Mapping[ComputeTargetKind, Sequence[RevisionSpec]]:
    """Return each instance of *components* by its surface; a quota counts no configuration."""
    specs: dict[ComputeTargetKind, list[RevisionSpec]] = {}
    for component in components:
        spec = release_unit.to_revision_spec(component, environment, tenant, app.rules.rollout)
        specs.setdefault(component.compute_target, []).extend([spec] * spec.replicas)
    return specs


async def _boundaries(
    environment: EnvironmentId,
    tenant: TenantId,
    kinds: Sequence[ComputeTargetKind],
    capabilities: Mapping[ComputeTargetKind, Capabilities],
    app: DeploymentsApp,
    within: timedelta = _READ_WITHIN,
) -> Mapping[ComputeTargetKind, Boundary]:
    async def read(kind: ComputeTargetKind) -> Boundary | None:
        surface = cast("Boundaries", configured_surface(app.surfaces, kind))  # as its features say
        answer = answered_within(surface.read_boundary(environment, tenant), within, "its surface")
        reading = await isolate(answer, f"the quota of {tenant} on {kind} is in no plan")
        return reading.value if isinstance(reading, Present) else None

    bounded = [k for k in kinds if k in capabilities and has_boundaries(capabilities[k].features)]
    boundaries = await asyncio.gather(*map(read, bounded))
    return {kind: each for kind, each in zip(bounded, boundaries, strict=True) if each}


def _shortage(boundary: Boundary, specs: Sequence[RevisionSpec], *, is_recreate: bool) -> str:
    """Return what the quota of *boundary*, or its capacity, lacks for *specs*; empty: nothing.

    What `recreate` stops first is not known here, so only the whole quota is compared then.
    """
    asked = [limited(each, limits_of(boundary)) for each in specs]
    held = [(_TENANT, quota_of(boundary), boundary.used)]
    if (capacity := boundary.capacity) is not None:
        asked = [limited(each, capacity.limits) for each in asked]
        held.append((_CAPACITY, capacity.quota, capacity.used))
    for name, quota, _ in held:
        if too_much := refusal(quota, Quota(0.0, 0, 0), *asked, named=name):
            return f"it never starts: {too_much}"
    for name, quota, used in held:
        if not is_recreate and (too_much := refusal(quota, used, *asked, named=name)):
            return (
                f"no room beside what runs: {too_much}. New instances wait for room, and the"
                " release is rolled back where none comes in time: stop old ones first with the"
                f" strategy `recreate`, or have the {_HOLDS[name]} hold more"
            )
    return ""
