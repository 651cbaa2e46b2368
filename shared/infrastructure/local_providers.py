"""What makes local resources: a site through the surface's `Sites` port, a volume as a folder."""

import asyncio
import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from shared.infrastructure.graph import Node
from shared.infrastructure.port import MonthlyCost
from shared.infrastructure.provider import DesiredResource, LiveResource
from shared.kernel.errors import Unavailable, Violation
from shared.kernel.fence import Fence, StaleFence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.port import Sites
from shared.surfaces.spec import SiteSpec

Written = TypeVar("Written")

FREE: Final = MonthlyCost(0.0, "EUR", "runs on this machine, where nothing is metered")
NOTE_MAX: Final = 256 * 1024
"""A note is a few kilobytes; settings and tags are bounded by the contracts."""
_PROPERTIES: Final = "properties"
_LOCK: Final = threading.Lock()
"""Of the process, because several apps in one host may each have opened a provider."""
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class SiteProvider:
    """`factory:local:Site`. The surface keeps the properties as the site's facts."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    def check(self, node: Node) -> Sequence[Violation]:
        violations = [*_no_settings(node, "/computeTargets/0/settings")]
        if node.properties["capacity"]:
            violations.append(
                Violation(
                    "CapacityNotLimited", "/computeTargets/0/capacity",
                    "this machine cannot hold all workloads together to a limit",
                    "no capacity; give each component its own resources",
                    json.dumps(node.properties["capacity"], sort_keys=True),
                )
            )  # fmt: skip
        return violations

    def monthly_cost(self, node: Node) -> MonthlyCost | None:
        _ = node
        return FREE

    async def create(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        properties = resource.properties
        spec = SiteSpec(
            EnvironmentId(properties["site"]),
            TenantId(properties["tenantId"]),
            properties["environment"],
            properties["stage"],
            {_PROPERTIES: json.dumps(dict(properties), sort_keys=True)},
        )
        await self._sites.ensure_site(spec, fence)
        match await self.read(resource):
            case Present(live):
                return live
            case Absent():
                raise Unavailable(f"site {spec.environment} is not shown yet", retry_after_s=1)
            case Unknown(reason):
                raise Unavailable(f"site {spec.environment} cannot be seen: {reason}")

    async def read(self, resource: DesiredResource) -> Reading[LiveResource]:
        environment = EnvironmentId(resource.properties["site"])
        match await self._sites.read_site(environment):
            case Present(site):
                properties = json.loads(site.facts.get(_PROPERTIES, "{}"))
                outputs = {"id": str(environment), "endpoint": site.endpoint}
                return Present(LiveResource(properties, outputs))
            case Absent():
                return Absent()
            case Unknown(reason):
                return Unknown(reason)

    async def update(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        return await self.create(resource, fence)

    async def delete(self, resource: DesiredResource, fence: Fence) -> None:
        await self._sites.delete_site(EnvironmentId(resource.properties["site"]), fence)


class VolumeProvider:
    """`factory:local:Volume`: a folder below *root*, and beside it a note of what it is.

    The note holds the properties and the highest fencing token, and outlives the folder. Inside one
    process a check of the token and the write it allows are one; a second process that is overtaken
    exactly between the two is the window that every resource outside our stores has.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self, node: Node) -> Sequence[Violation]:
        volume = str(node.properties["volume"])
        violations = [*_no_settings(node, f"/dataResources/{volume}/settings")]
        if not _SLUG.fullmatch(volume):
            violations.append(
                Violation(
                    "VolumeName", f"/dataResources/{volume}/name", "not a folder's name",
                    "lower-case letters, digits and inner dashes, 1 to 63", volume,
                )
            )  # fmt: skip
        return violations

    def monthly_cost(self, node: Node) -> MonthlyCost | None:
        _ = node
        return FREE

    async def create(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        return await asyncio.to_thread(self._locked, self._put, resource, fence)

    async def read(self, resource: DesiredResource) -> Reading[LiveResource]:
        try:
            return await asyncio.to_thread(self._read, resource)
        except (OSError, ValueError, TypeError) as unreadable:
            return Unknown(f"volume {resource.name} cannot be read: {unreadable}")

    async def update(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        return await self.create(resource, fence)

    async def delete(self, resource: DesiredResource, fence: Fence) -> None:
        await asyncio.to_thread(self._locked, self._remove, resource, fence)

    def _locked(
        self,
        write: Callable[[DesiredResource, Fence], Written],
        resource: DesiredResource,
        fence: Fence,
    ) -> Written:
        with _LOCK:
            return write(resource, fence)

    def _put(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        note = self._require_newest(resource, fence)
        folder = self._folder(resource)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_note(note, {_PROPERTIES: dict(resource.properties), "token": fence.token})
        except OSError as away:
            raise Unavailable(f"volume {resource.name} cannot be made: {away}") from away
        return self._live(resource, resource.properties)

    def _read(self, resource: DesiredResource) -> Reading[LiveResource]:
        note = _read_note(self._note(resource))
        if not self._folder(resource).is_dir():
            return Absent()
        return Present(self._live(resource, note.get(_PROPERTIES) or {}))

    def _remove(self, resource: DesiredResource, fence: Fence) -> None:
        note = self._require_newest(resource, fence)
        folder = self._folder(resource)
        going = folder.with_name(f".{folder.name}.deleted")
        try:
            if going.exists():
                shutil.rmtree(going)  # a delete that was killed half way
            if folder.exists():
                # Renamed first: whatever happens next, nobody finds half a volume.
                folder.rename(going)
                shutil.rmtree(going)
            if note.parent.exists():
                _write_note(note, {_PROPERTIES: None, "token": fence.token})
        except OSError as away:
            raise Unavailable(f"volume {resource.name} cannot be deleted: {away}") from away

    def _require_newest(self, resource: DesiredResource, fence: Fence) -> Path:
        note = self._note(resource)
        try:
            highest = int(_read_note(note).get("token", 0))
        except (OSError, ValueError, TypeError) as unreadable:
            message = f"volume {resource.name} cannot be read: {unreadable}"
            raise Unavailable(message) from unreadable
        if fence.token < highest:
            raise StaleFence(resource.name, fence, highest)
        return note

    def _live(self, resource: DesiredResource, properties: Mapping[str, Any]) -> LiveResource:
        path = str(self._folder(resource))
        return LiveResource(properties, {"id": path, "path": path})

    def _folder(self, resource: DesiredResource) -> Path:
        return self._root / str(resource.properties["site"]) / str(resource.properties["volume"])

    def _note(self, resource: DesiredResource) -> Path:
        folder = self._folder(resource)
        return folder.with_name(f"{folder.name}.volume.json")


def _no_settings(node: Node, target: str) -> list[Violation]:
    settings = node.properties["settings"]
    return [
        Violation("UnknownSetting", f"{target}/{name}", "has no meaning here", "no setting", value)
        for name, value in sorted(settings.items())
    ]


def _read_note(note: Path) -> dict[str, Any]:
    """Return what *note* holds, nothing where it is not there. Raises OSError, ValueError."""
    # Workloads run beside it: whatever else lies there under its name is neither followed, waited
    # for nor read to its end.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(note, flags)
    except FileNotFoundError:
        return {}
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError(f"{note.name} is not a file")
        content = os.read(handle, NOTE_MAX + 1)
    finally:
        os.close(handle)
    if len(content) > NOTE_MAX:
        raise ValueError(f"{note.name} is longer than {NOTE_MAX} bytes")
    return dict(json.loads(content))


def _write_note(note: Path, content: Mapping[str, Any]) -> None:
    draft = note.with_name(f".{note.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(note)
