"""Read the layers of configuration that Git states, and those in force."""

from function_apps.drift.model.configuration_layers import layer_id
from function_apps.drift.model.configuration_plane import configuration_reading, is_pinned
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.plane_scan import PlaneReading
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import (
    LAYERS,
    compared_services,
    desired_by_git,
    published_layers,
)
from shared.contracts.drift import Plane
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.persistence.store import partition_of


async def read_configuration(scan: EnvironmentScan, ctx: Context, app: DriftApp) -> PlaneReading:
    """Return the plane as drift heard of it; nothing is compared where Git states no layer."""
    git = await desired_by_git(scan, ctx, app)
    if git is None or not git.environment.layers:
        return PlaneReading(Plane.CONFIGURATION)
    partition = partition_of(ctx.tenant, scan.environment_id)
    known = await published_layers(partition, app)
    key, in_force = parse_id(scan.environment_id, "env").environment, {}
    for each in git.environment.layers:
        identity = layer_id(each.name, key, ctx.tenant)
        found = known.get(identity)
        if found is None and each.is_of_tenant:
            found = await app.service.work.find(LAYERS, identity, ctx.tenant)
        if found is not None:
            in_force[each.name] = found
    unheard = [each.name for each in git.environment.layers if each.name not in in_force]
    if unheard:
        services = await compared_services(partition, app)
        unheard = [name for name in unheard if is_pinned(name, services)]
    return configuration_reading(git, in_force, unheard, scan.adopted)
