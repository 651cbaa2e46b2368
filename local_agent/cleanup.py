"""Removes what no revision on this machine needs: unpacked artifacts, scratch and old output.

The archives are not ours: what is unpacked can be unpacked again from them. What is needed is read
whole, or nothing is removed. It may be killed anywhere and run again.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Generic, TypeVar

from local_agent import scratch, starts
from local_agent.artifacts import Artifacts
from local_agent.instance_folder import InstanceFolder, revision_number
from local_agent.process_identity import is_alive
from local_agent.state_files import CorruptStateFile, SiteFolder, SurfaceFolder
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId, ServiceId
from shared.persistence.file_trees import remove_tree

INTERVAL_S: Final = 60.0
UNNEEDED_FOR_S: Final = 600.0
"""A rollback or a retry within it finds everything unpacked, and nothing is new enough to be on
its way."""
OUTPUT_KEPT: Final = timedelta(days=7)
"""Of components that have no revision any longer; of the others `prune_outputs` keeps some."""
_KEPT_S: Final = OUTPUT_KEPT.total_seconds()
_LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Needed:
    """What the revisions of all components need.

    `revisions` and `instances` are by the folder of a component's instances: those that are
    desired, and those that are recorded. A folder that is not in it belongs to nobody known.
    """

    artifacts: Collection[str]
    revisions: Mapping[Path, Collection[int]]
    instances: Mapping[Path, Collection[str]]

    def has_no_use_for(self, instance: Path) -> bool:
        """Return whether *instance* is a folder of a known component that may not run again."""
        if instance.parent not in self.instances:
            return False
        if instance.name in self.instances[instance.parent]:
            return False
        return revision_number(instance.name) not in self.revisions[instance.parent]


def read_needed(folder: SurfaceFolder) -> Needed:
    """Return what the revisions on this machine need.

    Raises:
        CorruptStateFile, OSError: something is unknown, so nothing may be removed.
    """
    needed = [
        _read_needed_by(site, ServiceId(name.removesuffix(".json")))
        for site in _sites(folder)
        for name in _names(site.path / "components")
        if name.endswith(".json")
    ]
    return Needed(
        {digest for each in needed for digest in each.artifacts},
        dict(item for each in needed for item in each.revisions.items()),
        dict(item for each in needed for item in each.instances.items()),
    )


def _read_needed_by(site: SiteFolder, service: ServiceId) -> Needed:
    """Return what one component needs. Raises CorruptStateFile."""
    desired = site.component(service)
    if desired is None:
        raise CorruptStateFile(f"{service} went away while it was read")
    at = site.instances(service)
    return Needed(
        {revision.spec.artifact for revision in desired.revisions.values()},
        {at: desired.revisions.keys()},
        {at: [each.id for each in site.record(desired.component).instances]},
    )


def _sites(folder: SurfaceFolder) -> Iterator[SiteFolder]:
    # Not by a pattern: that takes a folder which cannot be read for an empty one.
    for path in sorted((folder.root / "sites").iterdir()):
        if path.is_dir():
            yield folder.site(EnvironmentId(path.name))


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(path.name for path in folder.iterdir())
    return []


class _Unneeded(Generic[T]):
    """Since when each of some things has not been needed, without a break."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: dict[T, float] = {}

    def due(self, unneeded: Collection[T]) -> list[T]:
        """Return those of *unneeded*, all that there are now, that were so for UNNEEDED_FOR_S."""
        now_s = self._clock.monotonic_s()
        self._since_s = {each: self._since_s.get(each, now_s) for each in unneeded}
        return [each for each in unneeded if now_s - self._since_s[each] >= UNNEEDED_FOR_S]


class Cleanup:
    """The cleanup of one surface's folder."""

    def __init__(self, folder: SurfaceFolder, artifacts: Artifacts, clock: Clock) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._clock = clock
        self._unneeded_artifacts = _Unneeded[str](clock)
        self._unneeded_instances = _Unneeded[Path](clock)

    async def run(self) -> None:
        """Clean up every minute until canceled, and at once what a killed agent left half done."""
        await asyncio.to_thread(self._artifacts.remove_leftovers)
        while True:
            await self._clock.sleep(INTERVAL_S)
            try:
                await asyncio.to_thread(self.clean)
            except OSError as failed:
                # On a disk that is full or refuses to be written, everything else goes on.
                _LOG.warning("not all could be cleaned up: %s", failed)

    def clean(self) -> None:
        """Remove what has not been needed for a while."""
        self._artifacts.remove_leftovers()
        try:
            # Before what is needed: what comes between the two is needed, or not listed.
            unpacked = self._artifacts.unpacked()
            instances = [path for site in _sites(self._folder) for path in _instances(site)]
            needed = read_needed(self._folder)
        except (CorruptStateFile, OSError) as unreadable:
            _LOG.warning("nothing is cleaned up: %s", unreadable)
            return
        unused = [path for path in instances if needed.has_no_use_for(path)]
        for instance in self._unneeded_instances.due(unused):
            self._clean_instance(instance)
        unneeded = [digest for digest in unpacked if digest not in needed.artifacts]
        self._artifacts.remove(self._unneeded_artifacts.due(unneeded), self._needed_now)

    def _needed_now(self) -> Collection[str] | None:
        try:
            return read_needed(self._folder).artifacts
        except (CorruptStateFile, OSError):
            return None

    def _clean_instance(self, path: Path) -> None:
        """Clean up the instance in *path*, unless it is needed again by now.

        Its component is not written meanwhile, so that nothing starts in it.
        """
        site = SiteFolder(path.parents[2])
        try:
            with site.write_lock():
                needed = _read_needed_by(site, ServiceId(path.parent.name))
                if needed.has_no_use_for(path):
                    self._clean_unneeded(path, has_revisions=bool(needed.revisions[path.parent]))
        except (CorruptStateFile, OSError, Unavailable) as failed:
            _LOG.warning("%s cannot be cleaned up: %s", path.name, failed)

    def _clean_unneeded(self, path: Path, *, has_revisions: bool) -> None:
        claims = [starts.read_claim(claim) for claim in path.glob("claim-*")]
        if any(process and is_alive(process) for process in claims):
            return
        if any((path / name).exists() for name in (*scratch.FOLDERS, "order.json")):
            InstanceFolder(path).clear()
        written_s = path.stat().st_mtime
        if not has_revisions and self._clock.now().timestamp() - written_s > _KEPT_S:
            remove_tree(path)


def _instances(site: SiteFolder) -> Iterator[Path]:
    for service in _names(site.path / "instances"):
        for name in _names(site.path / "instances" / service):
            yield site.instances(ServiceId(service)) / name
