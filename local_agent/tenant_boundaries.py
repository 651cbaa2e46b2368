"""The boundary of a tenant in a site of this machine: its quota, and what it cannot have here."""

from local_agent.observation import wanted_site
from local_agent.state_files import SiteFolder
from local_agent.tenant_quota import used_by
from shared.kernel.errors import Invalid
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.boundaries import Boundary, BoundarySpec, boundary_properties
from shared.surfaces.capabilities import Capabilities, Feature


def require_kept(spec: BoundarySpec, capabilities: Capabilities) -> None:
    """Refuse a boundary with an identity or networks, which nothing here would keep.

    Raises:
        Invalid.
    """
    asked = {Feature.WORKLOAD_IDENTITY: spec.identity, Feature.NETWORK_POLICY: spec.may_reach}
    for feature, value in asked.items():
        if value:
            reason = capabilities.lacks[feature]
            raise Invalid(f"{capabilities.surface} cannot honour {feature}: {reason}")


def live_boundary(
    folder: SiteFolder, environment: EnvironmentId, tenant: TenantId
) -> Boundary | None:
    """Return the boundary as it is; the owner of the site has one without a quota with it.

    Raises:
        CorruptStateFile, Unreadable.
    """
    site = wanted_site(folder)
    known = folder.boundary(tenant) if site else None
    is_there = known is not None and known.is_wanted
    if site is None or not (is_there or tenant == site.spec.tenant):
        return None
    return Boundary(
        environment,
        tenant,
        f"{environment}/{tenant}",
        True,
        used_by(folder, tenant),
        boundary_properties(known.spec) if known and is_there else {},
        known.fence if known else 0,
    )
