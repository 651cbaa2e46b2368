"""The boundaries of a tenant on the targets of its environment, and what passes them."""

from collections.abc import Sequence

from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.proofs import Look, TargetAttempts
from function_apps.tenants.ports import TenantsApp
from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Present, Reading, Unknown
from shared.surfaces.boundaries import Boundary, bound_quota, has_boundaries
from shared.surfaces.capabilities import Feature
from shared.surfaces.isolation_attempts import TRIED, LayerAttempts, tries_quota
from shared.surfaces.reader_ports import QuotaAttemptReader


async def live_boundary(
    binding: TenantBinding, target: ComputeTarget, app: TenantsApp
) -> Reading[Boundary] | None:
    """Return the tenant's live boundary on *target*; None where that has no boundaries.

    That of a surface for which this installation has no setting is not known.
    """
    if not has_boundaries(target.capabilities):
        return None
    reader = app.boundaries.get(target.kind)
    if reader is None:
        return Unknown(f"no setting here leads to {target.kind}")
    environment, tenant = EnvironmentId(binding.environment_id), TenantId(binding.tenant_id)
    return await reader.read_boundary(environment, tenant)


async def live_boundaries(binding: TenantBinding, app: TenantsApp) -> Sequence[Look]:
    """Return the live boundary of the tenant on each target of its environment that has some."""
    looks = []
    for target in binding.compute_targets:
        look = await live_boundary(binding, target, app)
        if look is not None:
            looks.append((target, look))
    return looks


async def isolation_attempts(binding: TenantBinding, app: TenantsApp) -> Sequence[TargetAttempts]:
    """Return what was tried on each target of the environment where that can be."""
    environment, tenant = EnvironmentId(binding.environment_id), TenantId(binding.tenant_id)
    attempts = []
    for target in binding.compute_targets:
        if Feature.ISOLATION_ATTEMPTS in target.capabilities:
            reader = app.attempts.get(target.kind)
            reading: Reading[tuple[LayerAttempts, ...]] = (
                Unknown(f"no setting here leads to {target.kind}")
                if reader is None
                else await reader.attempt_isolation(environment, tenant)
            )
            if isinstance(reader, QuotaAttemptReader) and tries_quota(target.kind, binding.quota):
                quota = bound_quota(binding.quota)
                more = await reader.attempt_quota(environment, tenant, quota)
                reading = _with_quota(target.kind, reading, more)
            attempts.append((target, reading))
    return attempts


def _with_quota(
    target: ComputeTargetKind,
    reading: Reading[tuple[LayerAttempts, ...]],
    more: Reading[tuple[LayerAttempts, ...]],
) -> Reading[tuple[LayerAttempts, ...]]:
    """Return *reading* with what was tried of the quota, which counts whatever the other shows."""
    match reading, more:
        case Present(layers), Present(of_quota):
            return Present((*layers, *of_quota))
        case Present(layers), Unknown(reason):
            return Present((*layers, LayerAttempts(IsolationLayer.QUOTA, reason)))
        case Unknown(reason), Present(of_quota):
            others = [each for each in TRIED[target] if each is not IsolationLayer.QUOTA]
            return Present((*(LayerAttempts(each, reason) for each in others), *of_quota))
        case _:
            return reading
