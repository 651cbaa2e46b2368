"""Reconciles one component: its instances with its desired revisions, and its route."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from local_agent.configuration_files import with_texts
from local_agent.controller_context import ControllerContext
from local_agent.data_folders import require_data_folders, with_servers
from local_agent.envoy_admin import UpstreamHosts
from local_agent.envoy_config import ComponentRoute, RevisionRoute
from local_agent.instance_controller import InstanceController
from local_agent.instance_folder import instance_id
from local_agent.secret_values import SecretRefused, SecretUnavailable, secret_values
from local_agent.state_files import (
    ComponentRecord,
    DesiredComponent,
    DesiredRevision,
    InstanceRecord,
    LastRoute,
    SiteFolder,
)
from local_agent.tenant_quota import QuotaExceeded, limits_in_quota, limits_of_admitted
from shared.kernel.ids import TenantId
from shared.surfaces.boundaries import limited
from shared.surfaces.errors import BadArtifact, DataMissing
from shared.surfaces.rules import drain_ends_at, public_prefix
from shared.surfaces.spec import RevisionSpec, SurfaceComponent

_ROUTE_STAYS: Final = timedelta(minutes=2)
"""After the last revision ended: longer than an archive takes to be unpacked for the next one."""


class ComponentController:
    """The only writer of a component's record."""

    def __init__(
        self, site: SiteFolder, component: SurfaceComponent, context: ControllerContext
    ) -> None:
        """Take over the instances that the record names.

        Raises:
            CorruptStateFile: the record is unknown, so nothing may be started or stopped.
        """
        self._site = site
        self._context = context
        self._instances = InstanceController(site, component.service, context)
        record = site.record(component)
        instances = tuple(self._instances.resume(instance) for instance in record.instances)
        self._set_record(replace(record, instances=instances))

    @property
    def has_instances(self) -> bool:
        return bool(self._record.instances)

    @property
    def is_draining(self) -> bool:
        return any(instance.draining_at for instance in self._record.instances)

    async def reconcile(
        self, desired: DesiredComponent, hosts: UpstreamHosts, *, is_deletion: bool = False
    ) -> None:
        """Take each instance one step, and start those that are missing.

        *is_deletion*: the site is being deleted, so all instances stop, without a drain.
        """
        before = self._record
        active = {} if is_deletion else _active_revisions(desired, self._context.clock.now())
        wanted = {
            instance_id(revision.spec, number): revision.spec
            for revision in active.values()
            for number in range(revision.spec.replicas)
        }
        records: list[InstanceRecord] = []
        stopped: list[str] = []
        for record in before.instances:
            revision = desired.revisions.get(record.revision)
            if revision is None:
                await self._instances.discard(record)
                continue
            spec = limited(revision.spec, record.limits)
            if record.id in wanted:
                after = await self._instances.keep_running(record, spec, hosts)
                if after is not None and self._instances.is_restart_due(after):
                    after = await self._start_instance(spec, after.id, after)
            else:
                after = await self._instances.drain(record, spec, hosts, is_immediate=is_deletion)
            if after is None:
                stopped.append(record.id)
            else:
                records.append(after)
        if stopped:
            # Before their records go, and before a new instance takes the folder of one.
            await asyncio.to_thread(self._instances.delete, stopped)
        present = {record.id for record in records}
        missing = [instance for instance in wanted if instance not in present]
        records += [await self._start_instance(wanted[instance], instance) for instance in missing]
        self._save_record(ComponentRecord(desired.component, tuple(records)), before)
        await self._instances.end_pass(records)

    def ended_revisions(self, desired: DesiredComponent) -> list[int]:
        """Return the removed revisions that have no instance left."""
        running = {instance.revision for instance in self._record.instances}
        active = _active_revisions(desired, self._context.clock.now())
        return [number for number in desired.revisions if number not in {*running, *active}]

    def last_route(
        self, before: DesiredComponent, left: Mapping[int, DesiredRevision]
    ) -> LastRoute | None:
        """Return where requests found the component, of whose revisions only *left* are there."""
        served = _served(before.revisions)
        if not served:
            return before.last_route
        if _served(left):
            return None
        return LastRoute(served[max(served)].spec.path_prefix, self._context.clock.now())

    def route(self, desired: DesiredComponent, owner: TenantId) -> ComponentRoute | None:
        """Return the component's routes for Envoy in the site of *owner*; None for a worker.

        One whose last revision ended just now answers that nothing of it runs: the next may be on
        its way, as with `recreate`. Its path is no other component's meanwhile.
        """
        served = _served(desired.revisions)
        if not served:
            last = desired.last_route
            if last is None or self._context.clock.now() >= last.ended_at + _ROUTE_STAYS:
                return None
            prefix = last.path_prefix if desired.component.tenant == owner else None
            return ComponentRoute(desired.component, prefix, {}, ())
        weights = {n: percent for n, percent in desired.weights.items() if n in served}
        leading = max(weights, key=lambda n: (weights[n], n)) if weights else max(served)
        return ComponentRoute(
            desired.component,
            public_prefix(served[leading].spec, owner),
            weights,
            tuple(
                RevisionRoute(
                    number,
                    {
                        instance.port: instance.is_ready
                        for instance in self._record.instances
                        if instance.revision == number
                        and instance.port is not None
                        and (instance.is_ready or instance.draining_at)
                    },
                )
                for number in served
            ),
        )

    def _save_record(self, after: ComponentRecord, before: ComponentRecord) -> None:
        self._set_record(after)
        if after != before:
            self._site.write_record(after, is_durable=False)
            self._context.on_change()

    def _set_record(self, record: ComponentRecord) -> None:
        self._record = record
        used = {instance.port for instance in record.instances if instance.port}
        self._context.ports[record.component.service] = used

    def _count(self, record: InstanceRecord) -> None:
        """Have *record* among the instances from now on, before the pass ends."""
        others = tuple(each for each in self._record.instances if each.id != record.id)
        self._set_record(replace(self._record, instances=(*others, record)))

    async def _start_instance(
        self, spec: RevisionSpec, instance: str, dead: InstanceRecord | None = None
    ) -> InstanceRecord:
        """Return the record of an instance that was started, or is to be tried again later."""
        before = dead or InstanceRecord(
            id=instance,
            revision=spec.revision,
            token=self._context.entropy.uuid().hex,
            port=None,
            started_at=self._context.clock.now(),
            is_live=False,
            is_admitted=False,
        )
        if not before.is_admitted:
            try:
                limits = await asyncio.to_thread(limits_in_quota, self._site, spec, self._record)
            except QuotaExceeded as exceeded:
                return self._instances.wait_for_place(before, str(exceeded))
            before = replace(before, is_admitted=True, limits=limits)
            self._count(before)
        else:
            tenant, own = spec.component.tenant, before.limits
            limits = await asyncio.to_thread(limits_of_admitted, self._site, tenant, own)
            before = replace(before, limits=limits)
        try:
            return await self._spawn(limited(spec, before.limits), before)
        except (BadArtifact, DataMissing) as missing:
            problem = missing.message
        except SecretRefused as refused:
            problem = str(refused)
        except SecretUnavailable as away:
            return self._instances.wait_for_secrets(before, str(away))
        except OSError as failed:
            # shutil has none for a folder of which some files could not be copied.
            problem = failed.strerror or "not all of its files could be copied"
        return self._instances.postpone(before, problem)

    async def _spawn(self, spec: RevisionSpec, before: InstanceRecord) -> InstanceRecord:
        """Start an instance: its record is written first, then its process is spawned.

        Raises:
            BadArtifact, DataMissing, SecretRefused, SecretUnavailable, OSError: there is no
                process.
        """
        context = self._context
        texts = self._site.texts(spec.component.service)
        spec = await asyncio.to_thread(with_texts, texts, spec)
        unpacked = await context.artifacts.prepare(spec.artifact, spec.component.tenant)
        data = require_data_folders(self._site, spec)
        secrets = await secret_values(context.secrets, spec)
        spec = with_servers(self._site, spec)
        folder = self._instances.folder(before.id)
        await asyncio.to_thread(folder.prepare, spec, unpacked, context.artifacts)
        now = context.clock.now()
        is_restart = before.restarts and not before.is_resuming
        record = InstanceRecord(
            id=before.id,
            revision=spec.revision,
            token=context.entropy.uuid().hex,
            port=None if spec.port is None else context.free_port(),
            started_at=now,
            restarts=before.restarts,
            restarted_at=now if is_restart else before.restarted_at,
            exit_code=before.exit_code,
            exit_reason=before.exit_reason,
            is_resuming=before.is_resuming,
            limits=before.limits,
        )
        self._count(record)
        self._site.write_record(self._record, is_durable=True)
        await self._instances.start(spec, record, unpacked, data, secrets)
        return record


def _served(revisions: Mapping[int, DesiredRevision]) -> Mapping[int, DesiredRevision]:
    """Return those of *revisions* that take requests."""
    return {n: each for n, each in sorted(revisions.items()) if each.spec.port is not None}


def _active_revisions(desired: DesiredComponent, now: datetime) -> dict[int, DesiredRevision]:
    """Return the revisions whose instances should run: not removed, or within their drain time."""
    return {
        number: revision
        for number, revision in desired.revisions.items()
        if revision.removed_at is None
        or now < drain_ends_at(revision.spec, revision.removed_at, revision.weightless_at)
    }
