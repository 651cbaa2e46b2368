"""The state of the surface on disk: desired state, instance records, and where they are.

    <root>/sites/<environment>/
        site.json                     desired: the site, its ports, its fence
        components/<service>.json     desired: revisions, weights, fence; written by the calls
        running/<service>.json        recorded: instances; written by the supervisor only
        texts/<service>/<revision>    the texts of its configuration; written with what is desired
        boundaries/<tenant>.json      desired: what a tenant may take, its fence; written by calls
        instances/<service>/<n>/      an instance's folder, output and claims
        attempts/attempt-<random>/    attempts from inside, see attempt_processes.py
        servers/<name>/               the own folder of a server, see data_server.py
        edge/                         Envoy's files

Documents are replaced whole: written to a draft, synced, renamed. Readers take no lock; writers
of one site exclude each other by a lock file, also across processes.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter

from shared.kernel.ids import EnvironmentId, ServiceId, TenantId
from shared.persistence.disk_errors import translated_errors
from shared.persistence.durable_files import sync_folder
from shared.persistence.plain_files import NotPlain, open_lock, read_plain, write_new
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.local_process import INFRASTRUCTURE, VOLUMES
from shared.surfaces.spec import Resources, RevisionSpec, SiteSpec, SurfaceComponent

_NO_LIMITS: Final = Resources()


@dataclass(frozen=True)
class DesiredSite:
    """`is_wanted` is False while the site is being deleted and after; its fence stays forever."""

    spec: SiteSpec
    public_port: int
    fence: int
    is_wanted: bool = True


@dataclass(frozen=True)
class DesiredBoundary:
    """`is_wanted` is False after it was deleted; its fence stays forever."""

    spec: BoundarySpec
    fence: int
    is_wanted: bool = True


@dataclass(frozen=True)
class DesiredRevision:
    spec: RevisionSpec
    removed_at: datetime | None = None
    weightless_at: datetime | None = None
    """When its weight last became 0; draining counts from here."""


@dataclass(frozen=True)
class LastRoute:
    """Where requests found a component before its last revision ended, and when that did."""

    path_prefix: str | None
    ended_at: datetime


@dataclass(frozen=True)
class DesiredComponent:
    component: SurfaceComponent
    fence: int = 0
    revisions: Mapping[int, DesiredRevision] = field(default_factory=dict)
    weights: Mapping[int, int] = field(default_factory=dict)
    last_route: LastRoute | None = None
    """Of one that took requests and has no revision now."""

    @property
    def has_port(self) -> bool:
        """Return whether any revision takes requests; the others are workers."""
        return any(revision.spec.port is not None for revision in self.revisions.values())


@dataclass(frozen=True)
class InstanceRecord:
    """One instance. Each start has a new `token`, which names its claim."""

    id: str
    revision: int
    token: str
    port: int | None
    started_at: datetime
    restarts: int = 0
    is_ready: bool = False
    is_live: bool = True
    reason: str = "Starting"
    message: str = ""
    """What `reason` is about: what the readiness probe got, or why it cannot start."""
    restarted_at: datetime | None = None
    """When it was started again after it ended, last; it stays when another agent begins."""
    exit_code: int | None = None
    exit_reason: str = ""
    """Why the process before this one ended: Exited, ProbeFailed, MemoryExceeded, DiskExceeded."""
    failed_starts: int = 0
    """How often it could not be started since the last process that it had."""
    retry_at: datetime | None = None
    """It is dead, and starts again at this time."""
    draining_at: datetime | None = None
    """It left the traffic at this time; it is terminated when its requests are done."""
    terminated_at: datetime | None = None
    """SIGTERM was sent at this time; SIGKILL follows `grace_s` later."""
    is_resuming: bool = False
    """The supervisor found it dead in its first pass, and it has not been ready since."""
    is_admitted: bool = True
    """The quota of its tenant took it; from then on it has its place until it is stopped."""
    limits: Resources = _NO_LIMITS
    """What the boundary of its tenant gave it then, where its component names no limit.

    Where the boundary had none then, what it has at a later start.
    """


@dataclass(frozen=True)
class ComponentRecord:
    """The instances of a component, also those that cannot be started."""

    component: SurfaceComponent
    instances: tuple[InstanceRecord, ...] = ()


Document = DesiredSite | DesiredBoundary | DesiredComponent | ComponentRecord
D = TypeVar("D", DesiredSite, DesiredBoundary, DesiredComponent, ComponentRecord)
_CODECS: Final[Mapping[type[Document], TypeAdapter[Document]]] = {
    kind: TypeAdapter(kind)
    for kind in (DesiredSite, DesiredBoundary, DesiredComponent, ComponentRecord)
}


class CorruptStateFile(Exception):
    """A document exists and cannot be understood, so its content is unknown, not absent."""


def write_atomically(path: Path, content: bytes, *, is_durable: bool = True) -> None:
    """Replace *path* by *content*; after a crash the file has the old or the new content, whole."""
    draft = path.with_name(f"{path.name}.draft")
    write_new(draft, content, is_durable=is_durable)
    draft.rename(path)
    if is_durable:
        sync_folder(path.parent)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait for the lock file *path* and hold it, against other tasks and other processes."""
    with os.fdopen(open_lock(path), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class SiteFolder:
    """The documents of one site. All reads raise CorruptStateFile."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def edge(self) -> Path:
        return self.path / "edge"

    @property
    def volumes(self) -> Path:
        """The parent of the environment's data folders, which its infrastructure makes."""
        return self.path.parents[2] / INFRASTRUCTURE / VOLUMES / self.path.name

    def server(self, name: str) -> Path:
        """Return the own folder of the server *name*."""
        return self.path / "servers" / name

    def instances(self, service: ServiceId) -> Path:
        """Return the parent of the instance folders of *service*."""
        return self.path / "instances" / service

    def texts(self, service: ServiceId) -> Path:
        """Return the folder of the texts of configurations, a file for each revision."""
        return self.path / "texts" / service

    def site(self) -> DesiredSite | None:
        return self._read("site.json", DesiredSite)

    def site_version(self) -> tuple[int, int] | None:
        """Return what differs after each write of the site's document; None without one."""
        try:
            status = (self.path / "site.json").stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def services(self) -> list[ServiceId]:
        """Return every component that has ever been here; the document of each stays."""
        return sorted(ServiceId(path.stem) for path in self.path.glob("components/*.json"))

    def component(self, service: ServiceId) -> DesiredComponent | None:
        return self._read(f"components/{service}.json", DesiredComponent)

    def components(self) -> Iterator[DesiredComponent]:
        """Read each document when it is asked for; a corrupt one ends the iteration."""
        for service in self.services():
            desired = self.component(service)
            assert desired is not None
            yield desired

    def boundary(self, tenant: TenantId) -> DesiredBoundary | None:
        return self._read(f"boundaries/{tenant}.json", DesiredBoundary)

    def boundaries(self) -> list[TenantId]:
        """Return every tenant that has ever had a boundary here; the document of each stays."""
        return sorted(TenantId(path.stem) for path in self.path.glob("boundaries/*.json"))

    def recorded(self, service: ServiceId) -> ComponentRecord | None:
        """Return the recorded instances of *service*; None before its first start."""
        return self._read(f"running/{service}.json", ComponentRecord)

    def record(self, component: SurfaceComponent) -> ComponentRecord:
        """Return the recorded instances of *component*; none before its first start."""
        return self.recorded(component.service) or ComponentRecord(component)

    def write_site(self, site: DesiredSite) -> None:
        self._write("site.json", site)

    def write_boundary(self, boundary: DesiredBoundary) -> None:
        self._write(f"boundaries/{boundary.spec.tenant}.json", boundary)

    def write_component(self, desired: DesiredComponent) -> None:
        self._write(f"components/{desired.component.service}.json", desired)

    def write_record(self, record: ComponentRecord, *, is_durable: bool) -> None:
        self._write(f"running/{record.component.service}.json", record, is_durable=is_durable)

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Exclude all other writers of the desired state of this site, in any process.

        Raises:
            Unavailable: the disk refuses what is written.
        """
        with translated_errors("the state of the surface"), file_lock(self.path / "lock"):
            yield

    def _read(self, name: str, kind: type[D]) -> D | None:
        path = self.path / name
        try:
            document = _parse(_CODECS[kind], read_plain(path))
        except NotPlain as replaced:
            raise CorruptStateFile(f"{path.name} is no plain file") from replaced
        except FileNotFoundError:
            return None
        except OSError as failed:
            raise CorruptStateFile(f"{path.name} cannot be read: {failed.strerror}") from failed
        except ValueError as invalid:
            raise CorruptStateFile(f"{path.name} does not hold a {kind.__name__}") from invalid
        assert isinstance(document, kind)
        return document

    def _write(self, name: str, document: Document, *, is_durable: bool = True) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _CODECS[type(document)].dump_json(document)
        write_atomically(path, content, is_durable=is_durable)


class SurfaceFolder:
    """All sites below one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def site(self, environment: EnvironmentId) -> SiteFolder:
        return SiteFolder(self.root / "sites" / environment)

    def sites(self) -> list[SiteFolder]:
        return [SiteFolder(path.parent) for path in sorted(self.root.glob("sites/*/site.json"))]


@lru_cache(maxsize=1024)
def _parse(codec: TypeAdapter[Document], content: bytes) -> Document:
    """Parse a document; one that the supervisor reads again unchanged is not parsed again."""
    return codec.validate_json(content)
