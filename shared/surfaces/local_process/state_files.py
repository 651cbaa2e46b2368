"""What is wanted and what was started, on disk: the only memory the surface has.

    <root>/supervisor.json            who keeps this folder, once it has looked at everything
    <root>/sites/<environment>/
        site.json                     wanted: the site, its ports, its fence
        components/<service>.json     wanted: revisions, weights, fence; written by any host
        running/<service>.json        started: instances; written by the one supervisor
        instances/<service>/<n>/      an instance's folder, output and claims
        edge/                         Envoy's files

A document is replaced whole: written aside, synced, renamed. A reader never locks; writers of one
site take turns through a lock file, also across processes.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter

from shared.kernel.ids import EnvironmentId, ServiceId
from shared.surfaces.spec import Component, RevisionSpec, SiteSpec


@dataclass(frozen=True)
class DesiredSite:
    """`is_wanted` False: being taken away, or gone; the fence stays for ever."""

    spec: SiteSpec
    public_port: int
    admin_port: int
    fence: int
    is_wanted: bool = True


@dataclass(frozen=True)
class DesiredRevision:
    spec: RevisionSpec
    removed_at: datetime | None = None
    weightless_at: datetime | None = None
    """When its weight last became 0; draining counts from here."""


@dataclass(frozen=True)
class DesiredComponent:
    component: Component
    fence: int = 0
    revisions: Mapping[int, DesiredRevision] = field(default_factory=dict)
    weights: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceRecord:
    """One instance. Its folder and claim are named by `token`, a new one for each start."""

    id: str
    revision: int
    token: str
    port: int | None
    started_at: datetime
    restarts: int = 0
    is_ready: bool = False
    is_live: bool = True
    reason: str = "Starting"
    retry_at: datetime | None = None
    """Dead, and to be started again then."""
    stopping_at: datetime | None = None
    """Out of traffic since then; asked to stop when its requests are done."""
    asked_at: datetime | None = None
    """SIGTERM was sent then; killed `grace_s` later."""


@dataclass(frozen=True)
class ComponentRecord:
    """`problem` is why a revision cannot start at all, by revision."""

    component: Component
    instances: tuple[InstanceRecord, ...] = ()
    problems: Mapping[int, str] = field(default_factory=dict)


Document = DesiredSite | DesiredComponent | ComponentRecord
D = TypeVar("D", DesiredSite, DesiredComponent, ComponentRecord)
_CODECS: Final[Mapping[type[Document], TypeAdapter[Document]]] = {
    kind: TypeAdapter(kind) for kind in (DesiredSite, DesiredComponent, ComponentRecord)
}


class CorruptStateFile(Exception):
    """A document is there and cannot be understood: what it said is unknown, not absent."""


def write_atomically(path: Path, content: bytes, *, is_durable: bool = True) -> None:
    """Replace *path* by *content*: after a crash it is the old one or the new one, whole."""
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        if is_durable:
            os.fsync(file.fileno())
    draft.rename(path)
    if is_durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class SiteFolder:
    """The documents of one site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Path, tuple[tuple[int, int, int], Document]] = {}

    @property
    def edge(self) -> Path:
        return self.folder / "edge"

    def place(self, service: ServiceId, instance: str) -> Path:
        return self.folder / "instances" / service / instance

    def site(self) -> DesiredSite | None:
        return self._read(self.folder / "site.json", DesiredSite)

    def wanted(self, service: ServiceId) -> DesiredComponent | None:
        return self._read(self.folder / "components" / f"{service}.json", DesiredComponent)

    def running(self, service: ServiceId) -> ComponentRecord | None:
        return self._read(self.folder / "running" / f"{service}.json", ComponentRecord)

    def services(self) -> list[ServiceId]:
        """Return all components that ever were here."""
        found = (self.folder / "components").glob("*.json")
        return sorted(ServiceId(path.stem) for path in found)

    def write_site(self, site: DesiredSite) -> None:
        self._write("site.json", site)

    def write_wanted(self, wanted: DesiredComponent) -> None:
        self._write(f"components/{wanted.component.service}.json", wanted)

    def write_running(self, running: ComponentRecord, *, is_durable: bool) -> None:
        self._write(f"running/{running.component.service}.json", running, is_durable=is_durable)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the right to change what is wanted here; blocks other writers, of any process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read(self, path: Path, kind: type[D]) -> D | None:
        """Return the document at *path*, parsed again only when the file is another one."""
        try:
            seen = path.stat()
        except FileNotFoundError:
            return None
        except OSError as failed:
            raise CorruptStateFile(f"{path.name} cannot be read: {failed.strerror}") from failed
        mark = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        known = self._known.get(path)
        if known is not None and known[0] == mark:
            document = known[1]
        else:
            document = _parse(path, kind)
            # Replaced in between: remembered under the older mark, so it is parsed once more.
            self._known[path] = (mark, document)
        assert isinstance(document, kind)
        return document

    def _write(self, name: str, document: Document, *, is_durable: bool = True) -> None:
        path = self.folder / name
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


def _parse(path: Path, kind: type[D]) -> Document:
    try:
        return _CODECS[kind].validate_json(path.read_bytes())
    except OSError as failed:
        raise CorruptStateFile(f"{path.name} cannot be read: {failed.strerror}") from failed
    except ValueError as damaged:
        raise CorruptStateFile(f"{path.name} does not hold a {kind.__name__}") from damaged
