"""Keeps one component as it is wanted: one look at everything, then at most one step for each.

Nothing here waits for a process: a drain, a stop or a restart is a state with a time in it, taken
up again at the next look, by this host or the next one.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import ServiceId
from shared.surfaces.errors import BadArtifact
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.artifacts import Artifacts
from shared.surfaces.local_process.envoy_config import ComponentRoute, RevisionRoute, cluster_name
from shared.surfaces.local_process.envoy_process import Host
from shared.surfaces.local_process.instances import (
    InstanceFolder,
    instance_id,
    number_of,
    prune_outputs,
)
from shared.surfaces.local_process.loopback_ports import free_port
from shared.surfaces.local_process.probes import InstanceProbes, ProbeCall, Tasks
from shared.surfaces.local_process.processes import Identity
from shared.surfaces.local_process.state_files import (
    ComponentRecord,
    DesiredComponent,
    DesiredRevision,
    InstanceRecord,
    SiteFolder,
)
from shared.surfaces.spec import RevisionSpec

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
STEADY_AFTER_S: Final = 60.0
"""An instance that ran this long begins its backoff anew."""
DRAIN_MIN_S: Final = 0.5
"""Requests that Envoy has accepted but not yet counted as the instance's."""
MEMORY_EVERY_S: Final = 1.0
OUTPUT_EVERY_S: Final = 2.0

Hosts = Mapping[str, Mapping[int, Host]]


@dataclass
class ControllerContext:
    """What all keepers of one supervisor share."""

    clock: Clock
    entropy: Entropy
    artifacts: Artifacts
    tools: Path
    ask: ProbeCall
    beside: Tasks
    changed: Callable[[], None]
    """Have the next look at once."""
    ports: dict[str, set[int]] = field(default_factory=dict)
    """In use, by who uses them."""

    def new_port(self) -> int:
        return free_port(self.entropy, set().union(*self.ports.values()))


class ComponentController:
    """The one writer of a component's running document."""

    def __init__(self, site: SiteFolder, service: ServiceId, shop: ControllerContext) -> None:
        self._site = site
        self._service = service
        self._shop = shop
        self._running: ComponentRecord | None = None
        self._probers: dict[str, InstanceProbes] = {}
        self._spawned: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._memory_at_s = 0.0
        self._output_at_s = 0.0

    @property
    def is_gone(self) -> bool:
        return self._running is None or not self._running.instances

    @property
    def is_stopping_any(self) -> bool:
        running = self._running
        return running is not None and any(i.stopping_at for i in running.instances)

    async def keep(
        self, wanted: DesiredComponent, hosts: Hosts, *, is_ending: bool = False
    ) -> None:
        """Look at each instance once and take its next step; start those that are missing.

        *is_ending*: the site is being taken away, so all end, and nothing is drained.

        Raises:
            CorruptStateFile: what was started is unknown, so nothing may be started or stopped.
        """
        before = self._load(wanted)
        now = self._shop.clock.now()
        staying = {
            number: revision
            for number, revision in wanted.revisions.items()
            if not is_ending and not _is_drained(revision, now)
        }
        problems: dict[int, str] = {}
        kept: list[InstanceRecord] = []
        for started in before.instances:
            revision = wanted.revisions.get(started.revision)
            if revision is None:
                self._forget(started)
                continue
            spec = revision.spec
            if started.revision in staying and number_of(started.id) < spec.replicas:
                after = await self._look_staying(started, spec, hosts, problems)
            else:
                after = self._look_leaving(started, spec, hosts, is_hurried=is_ending)
            if after is not None:
                kept.append(after)
        for revision in staying.values():
            kept += await self._start_missing(revision.spec, kept, problems)
        self._save(ComponentRecord(wanted.component, tuple(kept), problems), before)
        self._end_look(kept)

    def emptied(self, wanted: DesiredComponent) -> list[int]:
        """Return the removed revisions of which nothing runs any more."""
        running = {i.revision for i in self._running.instances} if self._running else set()
        now = self._shop.clock.now()
        return [
            number
            for number, revision in wanted.revisions.items()
            if _is_drained(revision, now) and number not in running
        ]

    def route(self, wanted: DesiredComponent) -> ComponentRoute | None:
        """Return what Envoy is to know of it; None for a worker."""
        served = {n: r for n, r in sorted(wanted.revisions.items()) if r.spec.port is not None}
        if not served:
            return None
        weights = {n: percent for n, percent in wanted.weights.items() if n in served}
        leading = max(weights, key=lambda n: (weights[n], n)) if weights else max(served)
        instances = self._running.instances if self._running else ()
        return ComponentRoute(
            wanted.component,
            served[leading].spec.path_prefix,
            weights,
            tuple(
                RevisionRoute(
                    number,
                    _ports(i for i in instances if i.revision == number and i.is_ready),
                    _ports(i for i in instances if i.revision == number and i.stopping_at),
                )
                for number in served
            ),
        )

    def _load(self, wanted: DesiredComponent) -> ComponentRecord:
        if self._running is None:
            found = self._site.running(self._service)
            self._running = found or ComponentRecord(wanted.component)
            self._reserve(self._running)
        return self._running

    def _save(self, after: ComponentRecord, before: ComponentRecord) -> None:
        self._running = after
        if after != before:
            self._site.write_running(after, is_durable=False)
            self._reserve(after)
            self._shop.changed()

    def _reserve(self, running: ComponentRecord) -> None:
        self._shop.ports[self._service] = {i.port for i in running.instances if i.port}

    async def _look_staying(
        self, started: InstanceRecord, spec: RevisionSpec, hosts: Hosts, problems: dict[int, str]
    ) -> InstanceRecord | None:
        if started.stopping_at is not None:
            # Already out of traffic: it ends, and a new one follows.
            return self._look_leaving(started, spec, hosts, is_hurried=False)
        identity = self._find(started)
        if identity is None:
            return await self._look_dead(started, spec, problems)
        if started.asked_at is not None:
            return self._insist(started, spec, identity)
        return self._look_alive(started, spec, identity)

    def _look_leaving(
        self, started: InstanceRecord, spec: RevisionSpec, hosts: Hosts, *, is_hurried: bool
    ) -> InstanceRecord | None:
        now = self._shop.clock.now()
        identity = self._find(started)
        if identity is None:
            self._forget(started)
            self._place(started.id).clear()
            self._failures.pop(started.id, None)
            prune_outputs(self._place(started.id).folder.parent)
            return None
        if started.asked_at is not None:
            return self._insist(started, spec, identity)
        stopping_at = started.stopping_at or now
        started = replace(started, is_ready=False, reason="Stopping", stopping_at=stopping_at)
        if is_hurried or _has_finished(started, spec, hosts, self._service, now):
            processes.terminate(identity)
            return replace(started, asked_at=now)
        return started

    def _insist(
        self, started: InstanceRecord, spec: RevisionSpec, identity: Identity
    ) -> InstanceRecord:
        """Kill what was asked to stop and did not within its grace."""
        assert started.asked_at is not None
        if self._shop.clock.now() >= started.asked_at + timedelta(seconds=spec.grace_s):
            processes.kill(identity)
        return started

    def _look_alive(
        self, started: InstanceRecord, spec: RevisionSpec, identity: Identity
    ) -> InstanceRecord:
        shop = self._shop
        now_s = shop.clock.monotonic_s()
        prober = self._probers.get(started.token)
        if prober is None:
            prober = InstanceProbes(
                spec, started.port, is_ready=started.is_ready, is_live=started.is_live, now_s=now_s
            )
            self._probers[started.token] = prober
        prober.look(shop.clock, shop.ask, shop.beside, shop.changed)
        if self._exceeds_memory(spec, identity):
            processes.kill(identity)
            return replace(
                started, is_ready=False, is_live=False, reason="MemoryExceeded",
                asked_at=shop.clock.now(),
            )  # fmt: skip
        if not prober.is_live:
            processes.terminate(identity)
            return replace(
                started, is_ready=False, is_live=False, reason="ProbeFailed",
                asked_at=shop.clock.now(),
            )  # fmt: skip
        was_ready = started.is_ready or started.reason == "ProbeFailed"
        reason = "" if prober.is_ready else "ProbeFailed" if was_ready else "Starting"
        return replace(started, is_ready=prober.is_ready, is_live=True, reason=reason)

    async def _look_dead(
        self, started: InstanceRecord, spec: RevisionSpec, problems: dict[int, str]
    ) -> InstanceRecord:
        now = self._shop.clock.now()
        if started.retry_at is None:
            self._forget(started)
            ran_s = (now - started.started_at).total_seconds()
            failures = 0 if ran_s > STEADY_AFTER_S else self._failures.get(started.id, 0)
            self._failures[started.id] = failures + 1
            delay_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 10))
            why = "MemoryExceeded" if started.reason == "MemoryExceeded" else "Exited"
            return replace(
                started, is_ready=False, is_live=False, asked_at=None, reason=why,
                retry_at=now + timedelta(seconds=delay_s), restarts=started.restarts + 1,
            )  # fmt: skip
        if now < started.retry_at:
            return started
        return await self._start(spec, started.id, started.restarts, problems) or started

    async def _start_missing(
        self, spec: RevisionSpec, kept: list[InstanceRecord], problems: dict[int, str]
    ) -> list[InstanceRecord]:
        there = {started.id for started in kept}
        names = [instance_id(spec, number) for number in range(spec.replicas)]
        fresh = [await self._start(spec, name, 0, problems) for name in names if name not in there]
        return [started for started in fresh if started is not None]

    async def _start(
        self, spec: RevisionSpec, name: str, restarts: int, problems: dict[int, str]
    ) -> InstanceRecord | None:
        """Start an instance: written down, then spawned, so that no process is ever unknown."""
        shop = self._shop
        place = self._place(name)
        try:
            unpacked = await shop.artifacts.prepare(spec.artifact)
        except BadArtifact as bad:
            problems[spec.revision] = bad.message
            return None
        await asyncio.to_thread(place.prepare, unpacked, shop.artifacts)
        started = InstanceRecord(
            id=name,
            revision=spec.revision,
            token=shop.entropy.uuid().hex,
            port=None if spec.port is None else shop.new_port(),
            started_at=shop.clock.now(),
            restarts=restarts,
        )
        assert self._running is not None
        others = tuple(i for i in self._running.instances if i.id != name)
        self._running = replace(self._running, instances=(*others, started))
        self._site.write_running(self._running, is_durable=True)
        self._reserve(self._running)
        self._spawned[started.token] = place.start(spec, started, unpacked, shop.tools)
        return started

    def _find(self, started: InstanceRecord) -> Identity | None:
        """Return the living process of this start; None when it is dead or never came to be."""
        place = self._place(started.id)
        identity = place.identity(started.token)
        if identity is not None:
            return identity if processes.is_alive(identity) else None
        pid = self._spawned.get(started.token)
        if pid is not None:
            # Ours, and not yet as far as its claim: the launcher takes a few milliseconds.
            if processes.reap(pid) is None:
                return Identity(pid, 0, processes.boot(), started.token)
            del self._spawned[started.token]
        if started.retry_at is None and not processes.void_claim(place.claim(started.token)):
            return self._find(started)
        return None

    def _forget(self, started: InstanceRecord) -> None:
        """End a start for good: killed with all it left in its session, its exit code collected."""
        identity = self._place(started.id).identity(started.token)
        if identity is not None:
            processes.kill(identity)
            processes.reap(identity.pid)
        self._spawned.pop(started.token, None)
        self._probers.pop(started.token, None)

    def _exceeds_memory(self, spec: RevisionSpec, identity: Identity) -> bool:
        limit_mb = spec.resources.memory_mb
        now_s = self._shop.clock.monotonic_s()
        if limit_mb is None or now_s < self._memory_at_s:
            return False
        return processes.resident_bytes(identity) > limit_mb * 2**20

    def _end_look(self, kept: list[InstanceRecord]) -> None:
        """Do what is done less often than each look."""
        now_s = self._shop.clock.monotonic_s()
        if now_s >= self._memory_at_s:
            self._memory_at_s = now_s + MEMORY_EVERY_S
        if now_s >= self._output_at_s:
            self._output_at_s = now_s + OUTPUT_EVERY_S
            for started in kept:
                self._place(started.id).bound_output()

    def _place(self, name: str) -> InstanceFolder:
        return InstanceFolder(self._site.place(self._service, name))


def _is_drained(revision: DesiredRevision, now: datetime) -> bool:
    if revision.removed_at is None:
        return False
    since = max(revision.removed_at, revision.weightless_at or revision.removed_at)
    return now >= since + timedelta(seconds=revision.spec.drain_s)


def _has_finished(
    started: InstanceRecord, spec: RevisionSpec, hosts: Hosts, service: ServiceId, now: datetime
) -> bool:
    assert started.stopping_at is not None
    waited_s = (now - started.stopping_at).total_seconds()
    if started.port is None or waited_s >= max(spec.drain_s, DRAIN_MIN_S):
        return True
    host = hosts.get(cluster_name(service, started.revision), {}).get(started.port)
    is_out = host is not None and not host.takes_requests and host.active == 0
    return is_out and waited_s >= DRAIN_MIN_S


def _ports(instances: Iterable[InstanceRecord]) -> tuple[int, ...]:
    return tuple(sorted(i.port for i in instances if i.port is not None))
