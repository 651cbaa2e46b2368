"""Each write of the platform on a cluster, killed before and after each of its requests.

What there is to kill is found: the writes are those methods of the surface that take a fence, their
requests those rights of the platform that change anything.
"""

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

from shared.kernel.errors import Unavailable
from shared.surfaces.aks.boundary_objects import ACCOUNTS, LIMITS, POLICIES, QUOTAS
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import (
    AUTOSCALERS,
    BUDGETS,
    CONFIG_MAPS,
    CRON_JOBS,
    DEPLOYMENTS,
    GATEWAYS,
    JOBS,
    NAMESPACES,
    ROUTES,
    SERVICES,
    Kind,
)
from shared.surfaces.aks.permissions import PERMISSIONS
from shared.surfaces.aks.scalers import SCALED_OBJECTS
from shared.surfaces.aks.secret_classes import CLASSES
from shared.surfaces.aks.surface import AksSurface
from tests.kit.kubernetes_rights import Right, rights_of
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_cluster import PodCluster
from tests.surfaces import cluster_life
from tests.surfaces.aks_harness import AksHarness, aks_harness

if TYPE_CHECKING:
    from httpx2 import Request, Response

pytestmark = [pytest.mark.once, pytest.mark.real, pytest.mark.long]
WRITES: Final = frozenset(
    name
    for name, method in inspect.getmembers(AksSurface, inspect.isfunction)
    if "fence" in inspect.signature(method).parameters
)
KINDS: Final = (
    NAMESPACES, CONFIG_MAPS, DEPLOYMENTS, JOBS, CRON_JOBS, SERVICES, BUDGETS, ROUTES, GATEWAYS,
    AUTOSCALERS, SCALED_OBJECTS, QUOTAS, LIMITS, POLICIES, ACCOUNTS, CLASSES,
)  # fmt: skip
T = TypeVar("T")
READS: Final = {"get", "list", "watch"}
IN_DRY_RUNS: Final = ("", "pods", "create")
"""The right with which isolation is tried, and nothing is written."""


class Killed(BaseException):
    """Ends a write as the end of its process does: nothing of ours handles it."""


class Deaths:
    """Kills a write at each request once before it is sent, and once when it is answered."""

    def __init__(self) -> None:
        self.rights: set[Right] = set()
        """Those of the requests that were killed after they were answered."""
        self._seen: dict[tuple[str, str], int] = {}

    def begin(self) -> None:
        self._seen.clear()

    async def on_request(self, request: "Request") -> None:
        if request.method != "GET":
            place = request.method, request.url.path + request.url.query.decode()
            self._seen[place] = self._seen.get(place, 0) + 1
            if self._seen[place] == 1:
                raise Killed

    async def on_response(self, response: "Response") -> None:
        request = response.request
        place = request.method, request.url.path + request.url.query.decode()
        if self._seen.get(place) == 2:
            self._seen[place] += 1
            path = request.url.path
            self.rights |= rights_of(request.method, path, headers=request.headers)
            raise Killed


class MortalSurface:
    """A surface each of whose writes is killed wherever it can be, and repeated to its end."""

    def __init__(self, surface: object, deaths: Deaths) -> None:
        self._surface = surface
        self._deaths = deaths
        self.killed: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._surface, name)
        return self._repeated(name, method) if name in WRITES else method

    def _repeated(
        self, name: str, write: Callable[..., Coroutine[Any, Any, None]]
    ) -> Callable[..., Coroutine[Any, Any, None]]:
        async def repeated(*args: object) -> None:
            self._deaths.begin()
            while True:
                try:
                    return await write(*args)
                except Killed:
                    self.killed.add(name)

        return repeated


async def life(harness: AksHarness) -> list[Object]:
    """Live through all, and return what the cluster had after each step."""
    return [
        await state(harness, step)
        for steps in (cluster_life.beginning, cluster_life.rest, cluster_life.end)
        for step in steps(harness)
    ]


async def patiently(harness: AksHarness, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do it again while the API server is busy, as callers of the platform do."""
    give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
    while True:
        try:
            return await act()
        except Unavailable:
            if harness.clock.monotonic_s() > give_up_at_s:
                raise
        await harness.clock.sleep(0.2)


async def listed(harness: AksHarness, kind: Kind) -> list[Object]:
    labels = harness.installation.labels
    return (await harness.api.list_all(kind, labels, keep=lambda each: each))[0]


async def state(harness: AksHarness, step: cluster_life.Step) -> Object:
    """Return the objects of the installation by kind and name after *step*, without chance."""
    await patiently(harness, step)
    # What is in a namespace that ends goes when the cluster comes to it.
    ending = {
        each["metadata"]["name"]
        for each in await patiently(harness, lambda: listed(harness, NAMESPACES))
        if "deletionTimestamp" in each["metadata"]
    }
    objects = [
        (kind, each)
        for kind in KINDS
        for each in await patiently(harness, lambda kind=kind: listed(harness, kind))
        if "deletionTimestamp" not in each["metadata"]
        and each["metadata"].get("namespace") not in ending
    ]
    uids = {each["metadata"]["uid"] for _, each in objects}
    found = {}
    for kind, each in objects:
        metadata = each["metadata"]
        owners = [owner["uid"] for owner in metadata.get("ownerReferences") or ()]
        if uids.issuperset(owners):  # what its owner has left behind goes in a moment
            name = f"{kind.name} {metadata.get('namespace')} {metadata['name']}"
            found[name] = {
                "owners": owners,
                "labels": metadata.get("labels"),
                "annotations": {
                    key: value
                    for key, value in (metadata.get("annotations") or {}).items()
                    if not key.startswith("deployment.kubernetes.io/")  # counted by a controller
                },
                **{part: each.get(part) for part in ("spec", "data", "immutable")},
            }
    text = json.dumps(found, sort_keys=True).replace(harness.installation.name, "ours")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "uid", text)
    text = re.sub(r"[0-9a-f]{40}", "mark", text)  # of a namespace: a digest of a uid
    whole: Object = json.loads(re.sub(r"10\.96\.\d+\.\d+", "address", text))
    return whole


def test_every_write_ends_as_if_nothing_had_killed_it(pod_cluster: PodCluster) -> None:
    async def main() -> None:
        async with aks_harness(pod_cluster) as harness:
            assert isinstance(harness, AksHarness)
            undisturbed = await life(harness)
        async with aks_harness(pod_cluster) as harness:
            assert isinstance(harness, AksHarness)
            deaths = Deaths()
            client = await harness.host.connect()
            hooks = client._client._client.event_hooks
            hooks["request"].append(deaths.on_request)
            hooks["response"].append(deaths.on_response)
            mortal: Any = MortalSurface(harness.surface, deaths)
            harness.surface = mortal
            disturbed = await life(harness)

        for one, other in zip(undisturbed, disturbed, strict=True):
            assert other.keys() == one.keys()
            assert [
                (name, part, each, other[name][part])
                for name, parts in one.items()
                for part, each in parts.items()
                if other[name][part] != each
            ] == []
        assert mortal.killed == WRITES
        written = {right for each in PERMISSIONS for right in each.rights if right[2] not in READS}
        assert sorted(written - deaths.rights) == [IN_DRY_RUNS]

    asyncio.run(main())
