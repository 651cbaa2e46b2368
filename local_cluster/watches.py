"""Keeps the objects of one kind as the API server has them: a list, then what changes."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from local_cluster.kubernetes_api import Document, KubernetesApi
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable

_AGAIN_AFTER_S: Final = 0.5
_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name; the namespace is empty where the kind has none."""


class WatchedObjects:
    """The objects at *path*; *changed* is called after each change, also one of the whole list."""

    def __init__(
        self, api: KubernetesApi, path: str, changed: Callable[[], None], clock: Clock
    ) -> None:
        self.objects: dict[Key, Document] = {}
        self.is_known = False
        """Whether they were listed once; until then it is not known what there is."""
        self._api = api
        self._path = path
        self._changed = changed
        self._clock = clock
        self._version = 0
        """That of the objects; it grows with each change of anything in the cluster."""

    async def follow(self) -> None:
        """Keep them current until cancelled; what breaks is begun again with a list."""
        while True:
            try:
                await self._follow_once()
            except (Unavailable, ValueError, LookupError) as failed:  # no answer, or a broken one
                _log.info("%s is listed again: %r", self._path, failed)
            await self._clock.sleep(_AGAIN_AFTER_S)

    async def list_now(self) -> None:
        """Make the objects at least as new as this call; *changed* is not called.

        Raises:
            Unavailable: there is no list.
        """
        listed = await self._api.get(self._path)
        if listed is None:
            raise Unavailable(f"there is no {self._path} yet")
        version = int(listed["metadata"]["resourceVersion"])
        if version >= self._version:  # else the watch has told of more by now
            self.objects = {key_of(each): each for each in listed.get("items") or ()}
            self._version = version

    async def _follow_once(self) -> None:
        self._version = 0
        await self.list_now()
        self.is_known = True
        self._changed()
        async for line in self._api.watch(self._path, str(self._version)):
            event: Mapping[str, Any] = json.loads(line)
            if event["type"] == "ERROR":  # its version is too old, say (410)
                raise Unavailable(str(event["object"].get("message")))
            version = int(event["object"]["metadata"]["resourceVersion"])
            if version <= self._version:  # a list had it already
                continue
            self._version = version
            if event["type"] == "DELETED":
                self.objects.pop(key_of(event["object"]), None)
            elif event["type"] != "BOOKMARK":
                self.objects[key_of(event["object"])] = event["object"]
            self._changed()


class Changes:
    """Tells who waits that something has changed, several changes at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        self._event.set()

    async def next(self) -> None:
        await self._event.wait()
        self._event.clear()


def key_of(found: Document) -> Key:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]
