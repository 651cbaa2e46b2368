"""What the cluster has of one installation, kept current by one watch for each kind.

Each kind is listed, then watched from the version of the list: with bookmarks, so that a quiet
watch does not grow old. 410 means that it has: it is listed again. While a watch is broken the
objects stay, and after `STALE_AFTER_S` nobody is given them any more.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.kernel.ids import EnvironmentId
from shared.surfaces.aks.cluster_api import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    ROUTES,
    ApiRefusal,
    ClusterApi,
    Kind,
    Object,
    reason_of,
)
from shared.surfaces.aks.live_objects import grouped, trimmed
from shared.surfaces.aks.names import ENVIRONMENT, RECORD, Installation
from shared.surfaces.aks.observation import ComponentObjects
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.spec import SurfaceComponent

STALE_AFTER_S: Final = 15.0
"""An API server that is restarted is back in less."""
FIRST_LIST_S: Final = 30.0
"""For the first list of a kind; then the caller gets Unknown, and the list goes on."""
_WATCH_S: Final = 300
_BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_log = logging.getLogger(__name__)


class KindCache:
    """The objects of one *kind*; *keep* says what of each is kept."""

    def __init__(
        self,
        api: ClusterApi,
        kind: Kind,
        labels: Mapping[str, str],
        keep: Callable[[Object], Object],
        clock: Clock,
    ) -> None:
        self._api = api
        self._kind = kind
        self._labels = labels
        self._keep = keep
        self._clock = clock
        self._objects: dict[tuple[str, str], Object] = {}
        self._of_environment: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self._is_listed = asyncio.Event()
        self._broken_since_s: float | None = None
        self._reason = ""
        self.lists = 0
        """How often it was listed: once, and again after each 410."""

    async def objects(self, environment: str) -> list[Object]:
        """Return the objects with the label *environment*.

        Raises:
            Unreadable: it has not been listed yet, or what is known of it is too old.
        """
        try:
            async with asyncio.timeout(FIRST_LIST_S):
                await self._is_listed.wait()
        except TimeoutError:
            reason = self._reason or "the list takes long"
            raise Unreadable(f"the {self._kind.plural} are not listed yet: {reason}") from None
        broken = self._broken_since_s
        if broken is not None and self._clock.monotonic_s() - broken > STALE_AFTER_S:
            raise Unreadable(f"the {self._kind.plural} are not watched any more: {self._reason}")
        return [self._objects[key] for key in self._of_environment.get(environment, ())]

    async def follow(self) -> None:
        """Keep the objects current until cancelled."""
        version: str | None = None
        failures = 0
        while True:
            try:
                if version is None:
                    version = await self._list()
                async for seen in self._changes(version):
                    version, failures = seen, 0
                    self._broken_since_s = None
            except ApiRefusal as refusal:
                if refusal.status == HTTPStatus.GONE:
                    version = None
                    continue
                failures = await self._wait(failures, refusal)
            except (Unavailable, Invalid, NotFound) as away:
                failures = await self._wait(failures, away)

    async def _list(self) -> str:
        found, version = await self._api.list_all(self._kind, self._labels, keep=self._keep)
        self._objects.clear()
        self._of_environment.clear()
        for each in found:
            self._put(each)
        self.lists += 1
        self._broken_since_s = None
        self._is_listed.set()
        return version

    async def _changes(self, version: str) -> AsyncIterator[str]:
        """Take in each change after *version*, and yield the version of the cache then."""
        async for change, found in self._api.changes_since(
            self._kind, self._labels, version, _WATCH_S
        ):
            if change == "DELETED":
                self._drop(_key(found))
            elif change != "BOOKMARK":
                self._put(self._keep(found))
            yield found["metadata"]["resourceVersion"]

    async def _wait(self, failures: int, problem: Exception) -> int:
        """Back off after *problem*, and return how many there were in a row."""
        self._reason = reason_of(problem)
        if self._broken_since_s is None:
            self._broken_since_s = self._clock.monotonic_s()
            _log.warning("the watch of %s is broken: %s", self._kind.plural, self._reason)
        await self._clock.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
        return failures + 1

    def _put(self, found: Object) -> None:
        key = _key(found)
        self._drop(key)
        self._objects[key] = found
        self._of_environment[_environment(found)].add(key)

    def _drop(self, key: tuple[str, str]) -> None:
        before = self._objects.pop(key, None)
        if before is not None:
            self._of_environment[_environment(before)].discard(key)


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


def _environment(found: Object) -> str:
    return str(found["metadata"]["labels"].get(ENVIRONMENT, ""))


def without_container(pod: Object) -> Object:
    """Return what a read keeps of a pod: who it is and how it does, not what it was told."""
    return {"metadata": trimmed(pod)["metadata"], "status": pod.get("status") or {}}


def without_template(deployment: Object) -> Object:
    """Return what a read keeps of a Deployment: the applied spec, not the pods made of it."""
    metadata = deployment["spec"]["template"]["metadata"]
    kept = {"replicas": deployment["spec"].get("replicas", 1), "template": {"metadata": metadata}}
    return {**trimmed(deployment), "spec": kept}


_KEPT: Final[Mapping[Kind, Callable[[Object], Object]]] = {
    DEPLOYMENTS: without_template,
    PODS: without_container,
    ROUTES: trimmed,
    CONFIG_MAPS: trimmed,
}


class WatchedObjects:
    """The objects of one installation; watches begin with the first read and go on.

    Reads may be some milliseconds behind the API server, and never behind what they gave before.
    """

    def __init__(self, api: ClusterApi, installation: Installation, clock: Clock) -> None:
        self._caches = {
            kind: KindCache(api, kind, installation.labels, keep, clock)
            for kind, keep in _KEPT.items()
        }
        self._installation = installation
        self._watches: dict[Kind, asyncio.Task[None]] = {}

    async def environment(
        self, environment: EnvironmentId, *, is_routed: bool
    ) -> list[ComponentObjects]:
        """Return each component of *environment* that has anything on the cluster.

        Raises:
            Unreadable: a watch is broken for too long, or a record is damaged.
        """
        label = self._installation.of_environment(environment)[ENVIRONMENT]
        kinds = [kind for kind in _KEPT if is_routed or kind is not ROUTES]
        for kind in kinds:
            if kind not in self._watches:
                self._watches[kind] = asyncio.create_task(self._caches[kind].follow())
        found = {kind: tuple(await self._caches[kind].objects(label)) for kind in kinds}
        records = [each for each in found[CONFIG_MAPS] if _is_of_component(each)]
        parts = {ROUTES: (), **found, CONFIG_MAPS: tuple(records)}
        return grouped(environment, parts, is_routed=is_routed)

    async def component(self, component: SurfaceComponent, *, is_routed: bool) -> ComponentObjects:
        """Return what the cluster has of *component*. Raises as `environment`."""
        found = await self.environment(component.environment, is_routed=is_routed)
        nothing = ComponentObjects(component, (), (), None, None, is_routed)
        return next((each for each in found if each.component == component), nothing)

    async def close(self) -> None:
        """End the watches."""
        watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


def _is_of_component(record: Object) -> bool:
    return bool(record["metadata"]["labels"].get(RECORD) == "component")
