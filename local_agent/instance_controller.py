"""Takes each instance of a component one step towards its desired state.

No step waits for a process: a drain, a termination or a restart is a time in the instance's record,
and the next pass continues from there, in this agent or in the next one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from local_agent import process_trees
from local_agent.artifacts import UnpackedArtifact
from local_agent.controller_context import ControllerContext
from local_agent.envoy_admin import UpstreamHosts
from local_agent.envoy_config import cluster_name
from local_agent.instance_folder import InstanceFolder, prune_outputs
from local_agent.probes import InstanceProbes
from local_agent.process_identity import ProcessIdentity
from local_agent.secret_values import SecretValues
from local_agent.starts import SpawnedProcesses
from local_agent.state_files import InstanceRecord, SiteFolder
from shared.kernel.ids import ServiceId
from shared.surfaces.spec import RevisionSpec

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
BACKOFF_RESET_AFTER_S: Final = 60.0
"""The backoff of an instance that ran this long begins again."""
DRAIN_MIN_S: Final = 0.5
"""Covers requests that Envoy has accepted and not yet counted as the instance's."""
EXCEEDED: Final = frozenset({"MemoryExceeded", "DiskExceeded"})
"""Shown until the next start: the exit status of what we killed says nothing."""
PLACE_AFTER_S: Final = 1.0
"""What a quota refused is looked at again."""
CHECK_INTERVAL_S: Final = 1.0
"""Memory and outputs change within seconds, and reading them costs more than a pass."""


class InstanceController:
    """The next step of each instance of one component."""

    def __init__(self, site: SiteFolder, service: ServiceId, context: ControllerContext) -> None:
        self._folder = site.instances(service)
        self._service = service
        self._context = context
        self._processes = SpawnedProcesses()
        self._probes: dict[str, InstanceProbes] = {}
        self._failures: dict[str, int] = {}
        self._check_due_s = 0.0

    def folder(self, instance: str) -> InstanceFolder:
        return InstanceFolder(self._folder / instance)

    async def start(
        self,
        spec: RevisionSpec,
        record: InstanceRecord,
        unpacked: UnpackedArtifact,
        data: Mapping[str, Path],
        secrets: SecretValues,
    ) -> None:
        """Spawn the process of *record*, which is on disk already: no process is ever unknown."""
        folder, links = self.folder(record.id), self._context.python_links

        def begin() -> int:
            api_url = self._context.api.give(folder.path, spec)
            return folder.start(spec, record, unpacked, data, secrets, links, api_url)

        # Beside the loop: it looks through the processes and the files of the program.
        self._processes.add(record.token, await asyncio.to_thread(begin))

    def wait_for_secrets(self, record: InstanceRecord, problem: str) -> InstanceRecord:
        """Return *record*, whose secrets cannot be read now, with the time of the next start.

        Nothing is wrong with it, so this is no failed start.
        """
        return replace(
            record,
            is_ready=False,
            is_live=False,
            reason="SecretUnavailable",
            message=problem,
            retry_at=self._next_start(record.id),
        )

    def wait_for_place(self, record: InstanceRecord, problem: str) -> InstanceRecord:
        """Return *record*, for which its tenant has no place now, with the time of the next look.

        It waits as a pod does that a quota refuses, and its output says why once.
        """
        if (record.reason, record.message) != ("CannotStart", problem):
            self.folder(record.id).note(f"cannot start: {problem}")
        at = self._context.clock.now() + timedelta(seconds=PLACE_AFTER_S)
        return _cannot_start(record, problem, at, failed_starts=1)

    def postpone(self, record: InstanceRecord, problem: str) -> InstanceRecord:
        """Return *record*, whose process could not be started, with the time of the next start.

        Its output says why, as that of a program that cannot be executed.
        """
        self.folder(record.id).note(f"cannot start: {problem}")
        at = self._next_start(record.id)
        return _cannot_start(record, problem, at, failed_starts=record.failed_starts + 1)

    async def keep_running(
        self, record: InstanceRecord, spec: RevisionSpec, hosts: UpstreamHosts
    ) -> InstanceRecord | None:
        """Return the record after one step of an instance that should run.

        None when a drain has ended, so that a new instance can take its place.
        """
        if record.draining_at is not None:
            # It has left the traffic already, so its drain ends and a new instance follows.
            return await self.drain(record, spec, hosts)
        identity = self._find(record)
        if identity is None:
            return await self._schedule_restart(record)
        if record.terminated_at is not None:
            return await self._kill_after_grace(record, spec, identity)
        return await self._check(record, spec, identity)

    def resume(self, record: InstanceRecord) -> InstanceRecord:
        """Return *record* as supervision begins: an instance that is dead now starts again at once.

        It ended while no supervisor ran, so nobody saw it fail.
        """
        was_ending = record.draining_at or record.terminated_at or record.retry_at
        if was_ending or self._find(record) is not None:
            return record
        folder = self.folder(record.id).path
        self._context.scratch.forget(record.token)
        self._context.api.end(folder)
        self._processes.end(folder, record.token)
        return replace(
            record,
            is_ready=False,
            is_live=False,
            is_resuming=True,
            reason="Exited",
            message="",
            retry_at=self._context.clock.now(),
        )

    async def drain(
        self,
        record: InstanceRecord,
        spec: RevisionSpec,
        hosts: UpstreamHosts,
        *,
        is_immediate: bool = False,
    ) -> InstanceRecord | None:
        """Return the record after one step of an instance that should stop; None when it has.

        Its folder is still there then: see `delete`.
        """
        now = self._context.clock.now()
        identity = self._find(record)
        if identity is None:
            self._failures.pop(record.id, None)
            await self.discard(record)
            return None
        if record.terminated_at is not None:
            return await self._kill_after_grace(record, spec, identity)
        draining_at = record.draining_at or now
        record = replace(
            record, is_ready=False, reason="Stopping", message="", draining_at=draining_at
        )
        if is_immediate or self._is_drained(record, spec, hosts, draining_at):
            process_trees.terminate(identity)
            return replace(record, terminated_at=now)
        return record

    def delete(self, instances: Sequence[str]) -> None:
        """Delete the folders of *instances*, which have stopped; what they wrote stays a while.

        May take long, as a workload may have left many files.
        """
        for instance in instances:
            self.folder(instance).clear()
        prune_outputs(self._folder)

    async def discard(self, record: InstanceRecord) -> int | None:
        """End what is left of a start; return its exit code, None where it is not known."""
        self._probes.pop(record.token, None)
        self._context.scratch.forget(record.token)
        folder = self.folder(record.id).path
        await asyncio.to_thread(self._context.api.end, folder)
        return await asyncio.to_thread(self._processes.end, folder, record.token)

    def is_restart_due(self, record: InstanceRecord) -> bool:
        if record.retry_at is None:
            return False
        wait_s = (record.retry_at - self._context.clock.now()).total_seconds()
        # No backoff is longer: the clock was set back.
        return wait_s <= 0 or wait_s > BACKOFF_MAX_S

    async def end_pass(self, records: list[InstanceRecord]) -> None:
        """Rotate full outputs if that is due, and set when memory and outputs are checked next."""
        if self._is_check_due():
            self._check_due_s = self._context.clock.monotonic_s() + CHECK_INTERVAL_S
            for record in records:
                await asyncio.to_thread(self.folder(record.id).bound_output)

    def _is_check_due(self) -> bool:
        return self._context.clock.monotonic_s() >= self._check_due_s

    def _find(self, record: InstanceRecord) -> ProcessIdentity | None:
        if record.retry_at is not None:
            return None  # it is dead, or never was: its folder may be gone
        return self._processes.find(self.folder(record.id).path, record.token)

    async def _check(
        self, record: InstanceRecord, spec: RevisionSpec, identity: ProcessIdentity
    ) -> InstanceRecord:
        """Run the probes that are due; kill for memory or disk, terminate on failed liveness.

        Its token of the API is renewed; of one that is being ended it is not.
        """
        folder = self.folder(record.id).path
        if self._context.api.is_due(folder, spec):
            await asyncio.to_thread(self._context.api.renew, folder, spec)
        if record.token not in self._probes:
            now_s = self._context.clock.monotonic_s()
            self._probes[record.token] = InstanceProbes(spec, record, now_s)
        probes = self._probes[record.token]
        probes.run_due(self._context)
        if await self._exceeds_memory(spec, identity):
            await asyncio.to_thread(process_trees.kill, identity)
            return self._unhealthy(record, "MemoryExceeded")
        if self._context.scratch.exceeds(record.token, folder):
            await asyncio.to_thread(process_trees.kill, identity)
            return self._unhealthy(record, "DiskExceeded")
        if not probes.is_live:
            process_trees.terminate(identity)
            return self._unhealthy(record, "ProbeFailed")
        was_ready = record.is_ready or record.reason == "ProbeFailed"
        reason = "" if probes.is_ready else "ProbeFailed" if was_ready else "Starting"
        return replace(
            record,
            is_ready=probes.is_ready,
            is_live=True,
            reason=reason,
            message="" if probes.is_ready else probes.unready_because,
            is_resuming=record.is_resuming and not probes.is_ready,
        )

    def _unhealthy(self, record: InstanceRecord, reason: str) -> InstanceRecord:
        now = self._context.clock.now()
        return replace(
            record, is_ready=False, is_live=False, reason=reason, message="", terminated_at=now
        )

    async def _kill_after_grace(
        self, record: InstanceRecord, spec: RevisionSpec, identity: ProcessIdentity
    ) -> InstanceRecord:
        assert record.terminated_at is not None
        if self._waited_s(record.terminated_at) >= spec.grace_s:
            await asyncio.to_thread(process_trees.kill, identity)
        return record

    def _waited_s(self, since: datetime) -> float:
        """Return how long ago *since* was; infinite where it lies ahead: the clock was set back."""
        waited_s = (self._context.clock.now() - since).total_seconds()
        return waited_s if waited_s >= 0 else float("inf")

    async def _schedule_restart(self, record: InstanceRecord) -> InstanceRecord:
        """Return the record of a dead instance with the time of its restart."""
        if record.retry_at is not None:
            return record
        exit_code = await self.discard(record)
        if (self._context.clock.now() - record.started_at).total_seconds() > BACKOFF_RESET_AFTER_S:
            self._failures.pop(record.id, None)
        return replace(
            record,
            is_ready=False,
            is_live=False,
            terminated_at=None,
            reason=record.reason if record.reason in EXCEEDED else "Exited",
            message="",
            exit_reason="Exited" if record.terminated_at is None else record.reason,
            retry_at=self._next_start(record.id),
            restarts=record.restarts + 1,
            exit_code=exit_code,
            is_resuming=False,
        )

    def _next_start(self, instance: str) -> datetime:
        failures = self._failures.get(instance, 0)
        self._failures[instance] = failures + 1
        delay_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 10))
        return self._context.clock.now() + timedelta(seconds=delay_s)

    async def _exceeds_memory(self, spec: RevisionSpec, identity: ProcessIdentity) -> bool:
        limit_mb = spec.resources.memory_mb
        if limit_mb is None or not self._is_check_due():
            return False
        return await asyncio.to_thread(process_trees.resident_bytes, identity) > limit_mb * 2**20

    def _is_drained(
        self, record: InstanceRecord, spec: RevisionSpec, hosts: UpstreamHosts, since: datetime
    ) -> bool:
        """Return whether no request is active, or the drain time has passed."""
        waited_s = self._waited_s(since)
        if record.port is None or waited_s >= max(spec.drain_s, DRAIN_MIN_S):
            return True
        host = hosts.get(cluster_name(self._service, record.revision), {}).get(record.port)
        is_idle = host is not None and not host.takes_requests and host.active == 0
        return is_idle and waited_s >= DRAIN_MIN_S


def _cannot_start(
    record: InstanceRecord, problem: str, retry_at: datetime, *, failed_starts: int
) -> InstanceRecord:
    return replace(
        record,
        is_ready=False,
        is_live=False,
        reason="CannotStart",
        message=problem,
        retry_at=retry_at,
        failed_starts=failed_starts,
    )
