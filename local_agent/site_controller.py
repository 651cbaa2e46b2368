"""Reconciles one site: its Envoy, its servers, its components, and the routes between them."""

import asyncio
from dataclasses import replace

from local_agent.component_controller import ComponentController
from local_agent.configuration_files import drop_texts
from local_agent.controller_context import ControllerContext
from local_agent.envoy_admin import EnvoyAdmin, UpstreamHosts
from local_agent.envoy_config import ComponentRoute
from local_agent.envoy_process import EnvoyProcess
from local_agent.site_servers import SiteServers
from local_agent.state_files import (
    CorruptStateFile,
    DesiredComponent,
    SiteFolder,
)
from shared.kernel.ids import ServiceId, TenantId
from shared.persistence.file_trees import remove_tree
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.spec import SurfaceComponent


class SiteController:
    """The controllers of one site's components, and its Envoy."""

    def __init__(self, folder: SiteFolder, context: ControllerContext) -> None:
        self._folder = folder
        self._context = context
        self._envoy = EnvoyProcess(folder.edge, context.clock, context.entropy)
        self._servers = SiteServers(folder, context.clock, context.entropy)
        self._components: dict[ServiceId, ComponentController] = {}

    @property
    def name(self) -> str:
        return self._folder.path.name

    async def reconcile(self) -> bool:
        """Take the site one step towards its desired state; return whether it is deleted.

        Raises:
            CorruptStateFile: of a component; the others were reconciled.
            TrafficUnavailable: Envoy did not show its new routes in time.
        """
        site = self._folder.site()
        assert site is not None
        if not site.is_wanted:
            return await self._delete()
        ports = {server.port for server in site.spec.servers}
        self._context.ports[self.name] = {site.public_port, *ports}
        self._envoy.ensure_running(site)
        await asyncio.to_thread(self._servers.reconcile, site.spec.servers)
        admin = EnvoyAdmin(self._folder.edge)
        hosts = await self._draining_hosts(admin)
        table: list[ComponentRoute] = []
        corrupt: list[CorruptStateFile] = []
        for service in self._folder.services():
            try:
                route = await self._reconcile_component(service, site.spec.tenant, hosts)
            except CorruptStateFile as unreadable:
                corrupt.append(unreadable)
                continue
            if route is not None:
                table.append(route)
        if corrupt:
            # A table without that component would cut off its traffic; the last one stays in force.
            raise corrupt[0]
        if await admin.is_ready():
            await self._envoy.publish(table, admin)
        return False

    async def _reconcile_component(
        self, service: ServiceId, owner: TenantId, hosts: UpstreamHosts
    ) -> ComponentRoute | None:
        desired = self._folder.component(service)
        assert desired is not None
        controller = await self._controller(desired.component)
        await controller.reconcile(desired, hosts)
        if controller.ended_revisions(desired):
            desired = await asyncio.to_thread(self._drop_ended_revisions, desired, controller)
        return controller.route(desired, owner)

    async def _delete(self) -> bool:
        if not self._folder.edge.exists():
            return True
        for desired in self._folder.components():
            controller = await self._controller(desired.component)
            await controller.reconcile(desired, {}, is_deletion=True)
        if any(controller.has_instances for controller in self._components.values()):
            return False
        # After the instances, which write to them to their end.
        if not await asyncio.to_thread(self._servers.reconcile, ()):
            return False
        if self._envoy.stop():
            for owner in (self.name, *self._components):
                self._context.ports.pop(owner, None)
            self._components.clear()
            await asyncio.to_thread(self._delete_files)
        return False

    def _delete_files(self) -> None:
        """Delete everything but fences and ports: the fence of a late writer must be checked."""
        with self._folder.write_lock():
            for desired in self._folder.components():
                self._folder.write_component(
                    replace(desired, revisions={}, weights={}, last_route=None)
                )
            for tenant in self._folder.boundaries():
                if boundary := self._folder.boundary(tenant):
                    self._folder.write_boundary(replace(boundary, is_wanted=False))
        for name in ("instances", "running", "servers", "texts"):
            remove_tree(self._folder.path / name)
        # Last: the site counts as being deleted while this folder exists.
        remove_tree(self._folder.edge)

    async def _controller(self, component: SurfaceComponent) -> ComponentController:
        service = component.service
        if service not in self._components:
            # Beside the loop: it ends what is left of instances that ended meanwhile.
            self._components[service] = await asyncio.to_thread(
                ComponentController, self._folder, component, self._context
            )
        return self._components[service]

    def _drop_ended_revisions(
        self, desired: DesiredComponent, controller: ComponentController
    ) -> DesiredComponent:
        """Delete removed revisions without instances, unless they were applied again.

        With the last one, where requests found the component is remembered.
        """
        with self._folder.write_lock():
            latest = self._folder.component(desired.component.service)
            assert latest is not None
            ended = controller.ended_revisions(latest)
            revisions = {n: r for n, r in latest.revisions.items() if n not in ended}
            last_route = controller.last_route(latest, revisions)
            after = replace(latest, revisions=revisions, last_route=last_route)
            # Before that is written: whoever sees that a revision is gone sees no text of it.
            drop_texts(self._folder.texts(desired.component.service), revisions)
            self._folder.write_component(after)
        return after

    async def _draining_hosts(self, admin: EnvoyAdmin) -> UpstreamHosts:
        """Return Envoy's view of the instances, which only a drain needs."""
        if not any(controller.is_draining for controller in self._components.values()):
            return {}
        try:
            return await admin.hosts()
        except TrafficUnavailable:
            return {}
