"""What the cluster has of one installation, kept current by one watch for each kind.

Each kind is listed, then watched from the version of the list: with bookmarks, so that a quiet
watch does not grow old. A watch that the server ends after changes goes on from the last one. Any
other end, and silence, is a failure: what was missed is not known, so the kind is listed again.
Only a list or a change shows that it is well. While neither comes the objects stay, and after
`STALE_AFTER_S` nobody is given them any more.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.kernel.ids import EnvironmentId
from shared.surfaces.aks.api_errors import ApiRefusal, reason_of
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import CONFIG_MAPS, CRON_JOBS, DEPLOYMENTS, JOBS, PODS, ROUTES, Kind
from shared.surfaces.aks.live_objects import grouped, trimmed
from shared.surfaces.aks.names import ENVIRONMENT, RECORD, Installation
from shared.surfaces.aks.observation import ComponentObjects
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.revisions import template_of
from shared.surfaces.spec import SurfaceComponent

STALE_AFTER_S: Final = 15.0
"""An API server that is restarted is back in less."""
FIRST_LIST_S: Final = 30.0
"""For the first list of a kind; then the caller gets Unknown, and the list goes on."""
SILENT_MAX_S: Final = 75.0
"""The API server sends a bookmark each minute; what is silent for longer may be cut off."""
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
        self._failures = 0
        self.lists = 0
        """How often it was listed: once, and again after each failure of its watch."""

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
        """Keep the objects current until cancelled. Nothing of it is current afterwards."""
        version: str | None = None
        try:
            while True:
                try:
                    version = await self._take_changes(version or await self._list())
                except (ApiRefusal, Unavailable, Invalid, NotFound) as away:
                    version = None
                    await self._wait(away)
                except Exception as unforeseen:  # noqa: BLE001  not followed, it were current for ever
                    version = None
                    self._is_listed.clear()
                    _log.exception("a change of the %s was not understood", self._kind.plural)
                    await self._wait(unforeseen)
        finally:
            self._is_listed.clear()

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

    async def _take_changes(self, version: str) -> str:
        """Take in the changes after *version* until the server ends them; return the last one's.

        Raises:
            ApiRefusal, Unavailable: also for changes that end before one came, or are silent.
        """
        last: str | None = None
        watch = self._api.changes_since(self._kind, self._labels, version, _WATCH_S)
        async with aclosing(watch):
            while True:
                try:
                    async with asyncio.timeout(SILENT_MAX_S):
                        change, found = await anext(watch)
                except TimeoutError:
                    raise Unavailable(f"nothing was heard for {SILENT_MAX_S:g} s") from None
                except StopAsyncIteration:
                    break
                if change == "DELETED":
                    self._drop(_key(found))
                elif change != "BOOKMARK":
                    self._put(self._keep(found))
                last = found["metadata"]["resourceVersion"]
                self._failures = 0
                self._broken_since_s = None
        if last is None:
            raise Unavailable("the API server ended the watch before anything came")
        return last

    async def _wait(self, problem: Exception) -> None:
        """Back off after *problem*: the longer, the more there were since the last change."""
        self._reason = reason_of(problem)
        if self._broken_since_s is None:
            self._broken_since_s = self._clock.monotonic_s()
        if not self._failures:
            _log.warning("the watch of %s is broken: %s", self._kind.plural, self._reason)
        await self._clock.sleep(_BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)])
        self._failures += 1

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


def without_template(workload: Object) -> Object:
    """Return what a read keeps of a Deployment or Job: the applied spec, not its pods."""
    template = {"metadata": template_of(workload)["metadata"]}
    kept = {"replicas": workload["spec"].get("replicas", 1), "template": template}
    return {**trimmed(workload), "spec": kept}


def without_runs(cron_job: Object) -> Object:
    """Return what a read keeps of a CronJob: the applied spec, and whether it starts runs."""
    spec = without_template(cron_job)["spec"]
    kept = {"suspend": cron_job["spec"].get("suspend", False), "jobTemplate": {"spec": spec}}
    return {**trimmed(cron_job), "spec": kept}


_KEPT: Final[Mapping[Kind, Callable[[Object], Object]]] = {
    DEPLOYMENTS: without_template,
    JOBS: without_template,
    CRON_JOBS: without_runs,
    PODS: without_container,
    ROUTES: trimmed,
    CONFIG_MAPS: trimmed,
}


class WatchedObjects:
    """The objects of one installation; watches begin with the first read and go on.

    Reads may be some milliseconds behind the API server, and never behind what they gave before:
    who has read past them meanwhile may have seen more.
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
            Unreadable: a watch is broken for too long.
        """
        label = self._installation.of_environment(environment)[ENVIRONMENT]
        kinds = [kind for kind in _KEPT if is_routed or kind is not ROUTES]
        for kind in kinds:
            if kind not in self._watches or self._watches[kind].done():
                self._watches[kind] = asyncio.create_task(self._caches[kind].follow())
        found = {kind: tuple(await self._caches[kind].objects(label)) for kind in kinds}
        records = [each for each in found[CONFIG_MAPS] if _is_of_component(each)]
        parts = {ROUTES: (), **found, CONFIG_MAPS: tuple(records)}
        return grouped(self._installation, environment, parts, is_routed=is_routed)

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
