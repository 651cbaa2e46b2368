"""An API server that gives the objects which it has, as a real one does, without a socket.

It takes no writes; a test puts objects where a platform, a controller or somebody had put them.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

import httpx2

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import PODS, Kind
from shared.surfaces.aks.names import SPEC

_KEYS: Final = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name",
    "volumeMounts": "mountPath", "ports": "containerPort",
}  # fmt: skip
"""Of lists that are merged by a key; each of the others is one field."""


class ApiObjects(httpx2.AsyncBaseTransport):
    """Gets and lists objects; a watch is silent, and pods answer with their release."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}

    def put(self, kind: Kind | str, found: Object) -> Object:
        metadata = found["metadata"]
        plural = kind if isinstance(kind, str) else kind.plural
        self.objects[plural, metadata.get("namespace", ""), metadata["name"]] = found
        return found

    def of_kind(self, kind: Kind) -> list[Object]:
        return [each for (plural, _, _), each in self.objects.items() if plural == kind.plural]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        query = dict(parse_qsl(request.url.query.decode()))
        if "watch" in query:
            return httpx2.Response(200, stream=_Silence())
        if request.url.path == "/apis":
            names = ("apps", "keda.sh", "secrets-store.csi.x-k8s.io")
            return httpx2.Response(200, json={"groups": [{"name": each} for each in names]})
        plural, namespace, name, below = _parts(request.url.path)
        if below:
            return self._answer_of_pod(namespace, name.partition(":")[0])
        if not name:
            return httpx2.Response(200, json=self._list(plural, namespace, query))
        found = self.objects.get((plural, namespace, name))
        if found is None:
            return httpx2.Response(404, json={"kind": "Status", "reason": "NotFound"})
        return httpx2.Response(200, json=found)

    def _list(self, plural: str, namespace: str, query: Mapping[str, str]) -> Object:
        asked = filter(None, query.get("labelSelector", "").split(","))
        labels = dict(each.split("=") for each in asked)
        items = [
            each
            for (of, place, _), each in self.objects.items()
            if (of, namespace or place) == (plural, place)
            and labels.items() <= (each["metadata"].get("labels") or {}).items()
        ]
        return {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}

    def _answer_of_pod(self, namespace: str, name: str) -> httpx2.Response:
        pod = self.objects[PODS.plural, namespace, name]
        version = json.loads(pod["metadata"]["annotations"][SPEC])["version"]
        return httpx2.Response(200, json={"release": {"version": version}})


class _Silence(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()


def _parts(path: str) -> tuple[str, str, str, str]:
    """Return the plural, namespace and name in *path*, and what is asked below the object."""
    words = path.strip("/").split("/")
    words = words[2:] if words[0] == "api" else words[3:]
    namespace = ""
    if words[0] == "namespaces" and len(words) > 2:
        namespace, words = words[1], words[2:]
    plural, name, *below = [*words, ""][:3] if len(words) < 3 else words
    return plural, namespace, name, "/".join(filter(None, below))


def fields_of(before: Object, after: Object) -> Object:
    """Return the fields that somebody set who made *after* of *before*, as the server has them."""
    found: Object = {}
    for name, value in after.items():
        old = before.get(name)
        if value == old:
            continue
        if isinstance(value, dict):
            found[f"f:{name}"] = fields_of(old or {}, value)
        elif name in _KEYS:
            key = _KEYS[name]
            olds = {each[key]: each for each in old or ()}
            found[f"f:{name}"] = {
                f"k:{json.dumps({key: each[key]})}": fields_of(olds.get(each[key], {}), each)
                for each in value
                if each != olds.get(each[key])
            }
        else:
            found[f"f:{name}"] = {}
    return found
