"""The quota of a tenant in a site: which of its instances may start, and what they take.

An instance that was admitted has its place until it is stopped, also while it starts again, and
however small the quota becomes: a cluster counts pods the same way.
"""

from local_agent.state_files import ComponentRecord, CorruptStateFile, SiteFolder
from shared.kernel.ids import ServiceId, TenantId
from shared.surfaces.boundaries import Quota, completed, limited, refusal, taken
from shared.surfaces.spec import Resources, RevisionSpec


def limits_in_boundary(site: SiteFolder, tenant: TenantId) -> Resources:
    """Return the limits of an instance of *tenant* in *site* that names none.

    Raises:
        CorruptStateFile.
    """
    boundary = site.boundary(tenant)
    return boundary.spec.limits if boundary and boundary.is_wanted else Resources()


def limits_of_admitted(site: SiteFolder, tenant: TenantId, own: Resources) -> Resources:
    """Return the limits with which an instance that was admitted with *own* starts again.

    It may be older than the quota. It comes back also where the boundary cannot be read.
    """
    try:
        return completed(own, limits_in_boundary(site, tenant))
    except CorruptStateFile:
        return own


class QuotaExceeded(Exception):
    """The tenant has no place for the instance; the message is a sentence for its operator."""


def limits_in_quota(site: SiteFolder, spec: RevisionSpec, own: ComponentRecord) -> Resources:
    """Return the limits that the tenant's boundary gives another instance of *spec*.

    *own* are the instances of its component, which may not be on disk yet.

    Raises:
        QuotaExceeded.
    """
    tenant = spec.component.tenant
    try:
        boundary = site.boundary(tenant)
        if boundary is None or not boundary.is_wanted:
            return Resources()
        limits, quota = boundary.spec.limits, boundary.spec.quota
        if quota == Quota():
            return limits
        used = used_by(site, tenant, own)
    except CorruptStateFile as corrupt:
        raise QuotaExceeded(
            f"what the quota of {tenant} leaves is not known: {corrupt}"
        ) from corrupt
    if refused := refusal(quota, used, limited(spec, limits)):
        raise QuotaExceeded(refused)
    return limits


def used_by(site: SiteFolder, tenant: TenantId, own: ComponentRecord | None = None) -> Quota:
    """Return what all instances of *tenant* in *site* take; of one component those of *own*.

    One that started without a limit, before there was a quota, takes as much as the boundary gives
    to an instance: it has that from its next start on.

    Raises:
        CorruptStateFile: what one of its components takes is not known.
    """
    limits = limits_in_boundary(site, tenant)
    specs = (spec for service in site.services() for spec in _of(site, service, tenant, own))
    return taken([limited(spec, limits) for spec in specs])


def _of(
    site: SiteFolder, service: ServiceId, tenant: TenantId, own: ComponentRecord | None
) -> list[RevisionSpec]:
    """Return the spec of each instance that was admitted; none of another tenant's component."""
    if own is not None and own.component.service == service:
        record: ComponentRecord | None = own
    else:
        try:
            record = site.recorded(service)
        except CorruptStateFile:
            desired = site.component(service)
            if desired is not None and desired.component.tenant != tenant:
                return []  # what is damaged of others stops nobody
            raise
    if record is None or record.component.tenant != tenant or not record.instances:
        return []
    desired = site.component(service)
    revisions = desired.revisions if desired else {}
    return [
        limited(revisions[each.revision].spec, each.limits)
        for each in record.instances
        if each.is_admitted and each.revision in revisions
    ]
