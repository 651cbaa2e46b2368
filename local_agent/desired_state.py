"""The desired state of a surface, as services write it: fenced, one write of a site at a time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from local_agent.state_files import (
    DesiredBoundary,
    DesiredComponent,
    DesiredRevision,
    DesiredSite,
    SiteFolder,
    SurfaceFolder,
)
from shared.connections.loopback_ports import free_port, is_free
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.errors import SiteMissing
from shared.surfaces.rules import check_fence
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent


class DesiredState:
    """The writes of desired state in *folder*. They wait for locks, so they run in threads."""

    def __init__(self, folder: SurfaceFolder, entropy: Entropy) -> None:
        self._folder = folder
        self._entropy = entropy

    def specs_of_others(self, component: SurfaceComponent) -> list[RevisionSpec]:
        folder = self._folder.site(component.environment)
        others = (desired for desired in folder.components() if desired.component != component)
        return [revision.spec for desired in others for revision in desired.revisions.values()]

    def owner(self, environment: EnvironmentId) -> TenantId:
        """Return the tenant of the site. Raises SiteMissing."""
        return _wanted(self._folder.site(environment).site(), environment).spec.tenant

    def write_component(
        self,
        component: SurfaceComponent,
        fence: Fence,
        decide: Callable[[DesiredComponent], DesiredComponent],
    ) -> DesiredComponent:
        folder = self._folder.site(component.environment)
        with folder.write_lock():
            _wanted(folder.site(), component.environment)
            before = folder.component(component.service) or DesiredComponent(component)
            fenced = replace(before, fence=check_fence(component.module, fence, before.fence))
            try:
                after = decide(fenced)
            except Refused:
                if fenced != before:
                    folder.write_component(fenced)
                raise
            if after != before:
                folder.write_component(after)
            return after

    def write_site(self, spec: SiteSpec, fence: Fence) -> None:
        folder = self._folder.site(spec.environment)
        with folder.write_lock():
            site = folder.site()
            if site is not None and not site.is_wanted and folder.edge.exists():
                check_fence(spec.environment, fence, site.fence)
                raise Unavailable(f"{spec.environment} is still being deleted")
            token = check_fence(spec.environment, fence, 0 if site is None else site.fence)
            is_there = site is not None and site.is_wanted
            port = site.public_port if site and is_there else self._port_for(site)
            folder.write_site(DesiredSite(spec, port, token))

    def request_deletion(self, environment: EnvironmentId, fence: Fence) -> bool:
        """Record that the site is to be deleted; return False when there is none."""
        folder = self._folder.site(environment)
        if folder.site() is None:
            return False
        with folder.write_lock():
            site = folder.site()
            assert site is not None
            token = check_fence(environment, fence, site.fence)
            folder.write_site(replace(site, fence=token, is_wanted=False))
        return True

    def require_boundary(self, component: SurfaceComponent) -> None:
        """Refuse a guest whose boundary was deleted.

        One that never had any is taken: quotas came later than guests. The owner has one with the
        site, also where its quota went with the site before.

        Raises:
            SiteMissing.
        """
        folder = self._folder.site(component.environment)
        boundary = folder.boundary(component.tenant)
        if boundary is None or boundary.is_wanted:
            return
        if component.tenant != _wanted(folder.site(), component.environment).spec.tenant:
            raise SiteMissing(
                f"{component.tenant} has no boundary in {component.environment} any more:"
                " bind it first"
            )

    def write_boundary(self, spec: BoundarySpec, fence: Fence) -> None:
        folder = self._folder.site(spec.environment)
        with folder.write_lock():
            _wanted(folder.site(), spec.environment)
            folder.write_boundary(_fenced(folder, spec, fence))

    def remove_boundary(
        self, environment: EnvironmentId, tenant: TenantId, fence: Fence, now: datetime
    ) -> None:
        """Have every revision of the tenant removed, and its boundary deleted."""
        folder = self._folder.site(environment)
        site = folder.site()
        if site is None or not site.is_wanted:
            return
        with folder.write_lock():
            boundary = _fenced(folder, BoundarySpec(environment, tenant), fence)
            for desired in folder.components():
                if desired.component.tenant == tenant and desired.revisions:
                    revisions = {
                        number: _removed(desired, revision, now)
                        for number, revision in desired.revisions.items()
                    }
                    folder.write_component(replace(desired, revisions=revisions, weights={}))
            folder.write_boundary(replace(boundary, is_wanted=False))

    def _port_for(self, deleted: DesiredSite | None) -> int:
        """Return a port for a new site: that of the *deleted* one before it, unless it is taken."""
        in_use = self._ports_in_use()
        if deleted and deleted.public_port not in in_use and is_free(deleted.public_port):
            return deleted.public_port
        return free_port(self._entropy, in_use)

    def _ports_in_use(self) -> set[int]:
        """Return the ports of all sites, but for those that are deleted."""
        return {
            site.public_port
            for folder in self._folder.sites()
            if (site := folder.site()) and (site.is_wanted or folder.edge.exists())
        }


def _fenced(folder: SiteFolder, spec: BoundarySpec, fence: Fence) -> DesiredBoundary:
    """Return the boundary of *spec*, with the token of *fence*. Raises StaleFence."""
    known = folder.boundary(spec.tenant)
    whose = f"{spec.environment}/{spec.tenant}"
    return DesiredBoundary(spec, check_fence(whose, fence, known.fence if known else 0))


def _removed(
    desired: DesiredComponent, revision: DesiredRevision, now: datetime
) -> DesiredRevision:
    has_weight = revision.spec.revision in desired.weights
    return replace(
        revision,
        removed_at=revision.removed_at or now,
        weightless_at=now if has_weight else revision.weightless_at,
    )


def _wanted(site: DesiredSite | None, environment: EnvironmentId) -> DesiredSite:
    """Return *site*. Raises SiteMissing: there is none, or it is being deleted."""
    if site is None or not site.is_wanted:
        raise SiteMissing(f"{environment} has no site here: provision it")
    return site
