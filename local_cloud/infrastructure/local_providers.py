"""Providers of local resources: a site through the `Sites` port, a volume as a folder.

Servers of data are in `server_provider`.
"""

import asyncio
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from local_cloud.infrastructure.provider import LiveResource
from shared.infrastructure.graph import Node, Properties, Resource
from shared.infrastructure.port import MonthlyCost
from shared.kernel.errors import Unavailable, Violation
from shared.kernel.fence import Fence, StaleFence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.persistence.plain_files import NotPlain, read_plain, remove, write_new
from shared.surfaces.data_servers import ServerSpec
from shared.surfaces.observed_state import Site
from shared.surfaces.port import Sites
from shared.surfaces.spec import SiteSpec

FREE: Final = MonthlyCost(0.0, "EUR", "runs on this machine, where nothing is metered")
NOTE_MAX: Final = 256 * 1024
"""A note is a few kilobytes; settings and tags are bounded by the contracts."""
_PROPERTIES: Final = "properties"
_LOCK: Final = threading.Lock()
"""One for the process: several apps in one host may each have opened a provider."""
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class SiteProvider:
    """`factory:local:Site`. The surface keeps the properties as the site's facts."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    def check(self, node: Node, place: str) -> Sequence[Violation]:
        violations = [*no_settings(node, place)]
        if node.properties["capacity"]:
            violations.append(
                Violation(
                    "CapacityNotLimited", f"{place}/capacity",
                    "this machine cannot hold all workloads together to a limit",
                    "no capacity; give each component its own resources",
                    json.dumps(node.properties["capacity"], sort_keys=True),
                )
            )  # fmt: skip
        return violations

    def monthly_cost(self, _node: Node) -> MonthlyCost | None:
        return FREE

    async def put(self, resource: Resource, fence: Fence) -> LiveResource:
        spec = self.wanted_site(resource.properties)
        await self._sites.ensure_site(spec, fence)
        match await self.read(resource):
            case Present(live):
                return live
            case Absent():
                raise Unavailable(f"site {spec.environment} does not exist yet", retry_after_s=1)
            case Unknown(reason):
                raise Unavailable(f"site {spec.environment} cannot be read: {reason}")

    async def read(self, resource: Resource) -> Reading[LiveResource]:
        environment = EnvironmentId(resource.properties["site"])
        match await self._sites.read_site(environment):
            case Present(site):
                properties = self.properties_of(site)
                # A cluster without a Gateway has no public address.
                outputs = {"id": str(environment), "endpoint": site.endpoint or None}
                return Present(LiveResource(properties, outputs))
            case absent_or_unknown:
                return absent_or_unknown

    async def delete(self, resource: Resource, fence: Fence) -> None:
        await self._sites.delete_site(EnvironmentId(resource.properties["site"]), fence)

    def wanted_site(self, properties: Properties) -> SiteSpec:
        """Return the site that *properties* ask for."""
        return SiteSpec(
            EnvironmentId(properties["site"]),
            TenantId(properties["tenantId"]),
            properties["environment"],
            properties["stage"],
            {_PROPERTIES: json.dumps(dict(properties), sort_keys=True)},
            tuple(
                ServerSpec(name, server["kind"], int(server["port"]), server["verifier"])
                for name, server in sorted(properties.get("servers", {}).items())
            ),
        )

    def properties_of(self, site: Site) -> dict[str, Any]:
        """Return the properties that *site* has now."""
        properties: dict[str, Any] = json.loads(site.facts.get(_PROPERTIES, "{}"))
        return properties


class VolumeProvider:
    """`factory:local:Volume`: a folder below *root*, and beside it a note.

    The note holds the properties and the highest fencing token, and outlives the folder. Inside one
    process a check of the token and the write it allows are one; a second process that is overtaken
    exactly between the two is the window that every resource outside our stores has.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self, node: Node, place: str) -> Sequence[Violation]:
        volume = str(node.properties["volume"])
        violations = [*no_settings(node, place)]
        if not _SLUG.fullmatch(volume):
            violations.append(
                Violation(
                    "VolumeName", f"{place}/name", "not a name of a folder",
                    "lower-case letters, digits and inner dashes, 1 to 63", volume,
                )
            )  # fmt: skip
        return violations

    def monthly_cost(self, _node: Node) -> MonthlyCost | None:
        return FREE

    async def put(self, resource: Resource, fence: Fence) -> LiveResource:
        return await asyncio.to_thread(self._put, resource, fence)

    async def read(self, resource: Resource) -> Reading[LiveResource]:
        try:
            return await asyncio.to_thread(self._read, resource)
        except OSError as unreadable:
            return Unknown(f"volume {resource.name} cannot be read: {unreadable}")

    async def delete(self, resource: Resource, fence: Fence) -> None:
        await asyncio.to_thread(self._remove, resource, fence)

    def _put(self, resource: Resource, fence: Fence) -> LiveResource:
        with self._changed_by(resource, fence):
            folder = self._folder(resource)
            if folder.is_symlink():
                raise OSError("a link stands in the place of its folder: remove the link")
            folder.mkdir(parents=True, exist_ok=True)
            _write_note(
                self._note(resource),
                {_PROPERTIES: dict(resource.properties), "token": fence.token},
            )
        return self._live(resource, resource.properties)

    def _read(self, resource: Resource) -> Reading[LiveResource]:
        properties, _ = _read_note(self._note(resource))
        folder = self._folder(resource)
        if not folder.is_dir() or folder.is_symlink():  # as the workloads see it
            return Absent()
        return Present(self._live(resource, properties))

    def _remove(self, resource: Resource, fence: Fence) -> None:
        folder, note = self._folder(resource), self._note(resource)
        deleted = folder.with_name(f".{folder.name}.deleted")
        with self._changed_by(resource, fence):
            remove(deleted)  # a delete that was killed half-way
            if os.path.lexists(folder):
                # Renamed first: after a kill the volume is whole or absent.
                folder.rename(deleted)
                remove(deleted)
            if os.path.lexists(deleted):
                raise OSError(f"not all of {folder.name} could be deleted")
            if note.parent.exists():
                _write_note(note, {_PROPERTIES: None, "token": fence.token})

    @contextmanager
    def _changed_by(self, resource: Resource, fence: Fence) -> Iterator[None]:
        """Let one writer at a time change *resource*, unless *fence* is stale.

        Raises:
            StaleFence: a higher token was here.
            Unavailable: the disk refused to be read or written.
        """
        with _LOCK:
            try:
                _, highest = _read_note(self._note(resource))
                if fence.token < highest:
                    raise StaleFence(resource.name, fence, highest)
                yield
            except OSError as problem:
                message = f"volume {resource.name} cannot be changed: {problem}"
                raise Unavailable(message) from problem

    def _live(self, resource: Resource, properties: Mapping[str, Any]) -> LiveResource:
        path = str(self._folder(resource))
        return LiveResource(properties, {"id": path, "path": path})

    def _folder(self, resource: Resource) -> Path:
        return self._root / str(resource.properties["site"]) / str(resource.properties["volume"])

    def _note(self, resource: Resource) -> Path:
        folder = self._folder(resource)
        return folder.with_name(f"{folder.name}.volume.json")


def no_settings(node: Node, place: str) -> list[Violation]:
    settings = node.properties["settings"]
    return [
        Violation(
            "UnknownSetting",
            f"{place}/settings/{name}",
            "not a setting of local resources",
            "no setting",
            value,
        )
        for name, value in sorted(settings.items())
    ]


def _read_note(note: Path) -> tuple[Mapping[str, Any], int]:
    """Return the properties and the token in *note*; none and 0 where it is absent.

    Raises:
        OSError: it cannot be read, or is no note.
    """
    # Workloads run beside it and may put a link, a pipe or an endless file in its place.
    try:
        content = read_plain(note, at_most=NOTE_MAX + 1)
    except NotPlain:
        raise  # as absent its token would be 0, which every writer passes
    except FileNotFoundError:
        return {}, 0
    if len(content) > NOTE_MAX:
        raise OSError(f"{note.name} is longer than {NOTE_MAX} bytes")
    try:
        document = dict(json.loads(content))
        return dict(document.get(_PROPERTIES) or {}), int(document.get("token", 0))
    except (ValueError, TypeError) as problem:
        raise OSError(f"{note.name} is no note of a volume: {problem!r}") from problem


def _write_note(note: Path, content: Mapping[str, Any]) -> None:
    draft = note.with_name(f".{note.name}.{os.getpid()}")
    write_new(draft, json.dumps(content, indent=1).encode(), is_durable=True)
    draft.replace(note)
