"""An API server's objects in memory: versions, preconditions and refusals as Kubernetes has them.

A test may act between any two requests of a writer, which no real server lets it do.
"""

from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from typing import TypeVar

from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import Kind

T = TypeVar("T")
Key = tuple[Kind, str | None, str]


class MemoryApiServer:
    """Stands for `ClusterApi`. Deployments get no pods, routes and Gateways no status."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.writes: list[tuple[str, Kind]] = []
        """What was written, as verb and kind; refused requests too."""
        self.refusals: dict[Kind, ApiRefusal] = {}
        self._meanwhile: tuple[str, Kind, Callable[[], Awaitable[None]]] | None = None
        self._version = 0

    def before(self, verb: str, kind: Kind, act: Callable[[], Awaitable[None]]) -> None:
        """Let *act* happen before the next request *verb* of *kind*: `get`, `put` or `delete`."""
        self._meanwhile = verb, kind, act

    def end(self, kind: Kind, name: str, namespace: str | None = None) -> None:
        """Let an object be deleted and stay for a while, as one with a finalizer does."""
        metadata = self.objects[kind, namespace, name]["metadata"]
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        await self._let_others_act("get", kind)
        return deepcopy(self.objects.get((kind, namespace, name)))

    async def list_all(
        self,
        kind: Kind,
        labels: Mapping[str, str],
        *,
        namespace: str | None = None,
        keep: Callable[[Object], T],
    ) -> tuple[list[T], str]:
        found = [
            keep(deepcopy(each))
            for (of_kind, place, _), each in self.objects.items()
            if of_kind is kind
            and namespace in {None, place}
            and labels.items() <= each["metadata"].get("labels", {}).items()
        ]
        return found, str(self._version)

    async def groups(self) -> frozenset[str]:
        """Serve no measures, and no KEDA."""
        return frozenset()

    async def create(self, kind: Kind, manifest: Object, *, dry_run: bool = False) -> Object:
        key = await self._written("put", kind, manifest)
        if key in self.objects:
            raise ApiRefusal(409, "AlreadyExists", f"{key[2]} already exists", ())
        return self._keep(key, manifest, dry_run=dry_run)

    async def apply(
        self, kind: Kind, manifest: Object, *, force: bool = False, dry_run: bool = False
    ) -> Object:
        assert not force, "one manager only writes here"
        key = await self._written("put", kind, manifest)
        return self._at_version(key, manifest, dry_run=dry_run)

    async def replace(self, kind: Kind, manifest: Object) -> Object:
        return self._at_version(await self._written("put", kind, manifest), manifest)

    async def merge(self, kind: Kind, name: str, namespace: str, patch: Object) -> Object:
        key = await self._written("put", kind, {"metadata": {"name": name, "namespace": namespace}})
        return self._at_version(key, patch)

    async def delete(self, kind: Kind, found: Object) -> None:
        key = await self._written("delete", kind, found)
        if key in self.objects:
            self._check_version(key, found)
            del self.objects[key]

    async def _let_others_act(self, verb: str, kind: Kind) -> None:
        if self._meanwhile is not None and self._meanwhile[:2] == (verb, kind):
            act, self._meanwhile = self._meanwhile[2], None
            await act()

    async def _written(self, verb: str, kind: Kind, manifest: Object) -> Key:
        await self._let_others_act(verb, kind)
        self.writes.append((verb, kind))
        if kind in self.refusals:
            raise self.refusals[kind]
        metadata = manifest["metadata"]
        return kind, metadata.get("namespace"), metadata["name"]

    def _at_version(self, key: Key, manifest: Object, *, dry_run: bool = False) -> Object:
        if key not in self.objects and "resourceVersion" in manifest["metadata"]:
            raise ApiRefusal(404, "NotFound", f"{key[2]} not found", ())
        self._check_version(key, manifest)
        return self._keep(key, _merged(self.objects.get(key, {}), manifest), dry_run=dry_run)

    def _check_version(self, key: Key, manifest: Object) -> None:
        version = manifest["metadata"].get("resourceVersion")
        if version is not None and version != self.objects[key]["metadata"]["resourceVersion"]:
            raise ApiRefusal(409, "Conflict", f"{key[2]} has been modified", ())

    def _keep(self, key: Key, manifest: Object, *, dry_run: bool) -> Object:
        self._version += 1
        before = self.objects.get(key)
        kept = deepcopy(manifest)
        kept["metadata"]["uid"] = before["metadata"]["uid"] if before else str(self._version)
        kept["metadata"]["resourceVersion"] = str(self._version)
        if not dry_run:
            self.objects[key] = kept
        return deepcopy(kept)


def _merged(before: Object, patch: Object) -> Object:
    """Return *before* with *patch* merged into it, as RFC 7396 has it."""
    merged = dict(before)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            present = merged.get(name)
            merged[name] = _merged(present if isinstance(present, dict) else {}, dict(value))
        else:
            merged[name] = value
    return merged
