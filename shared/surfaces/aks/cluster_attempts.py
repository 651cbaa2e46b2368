"""Runs the attempts of one tenant, and removes their Jobs, with which their pods go.

Compute and quota are asked of the API server in dry runs; what is reached, pods try from inside.

From outside it is tried at the same time: a pod in the namespace of the platform tries to come in.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from shared.contracts.isolation import IsolationLayer
from shared.kernel.clock import Clock
from shared.kernel.concurrency import bounded_map
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.attempt_answer import came_in, ended, inconclusive, joined, read, why_not
from shared.surfaces.aks.attempt_compute import attempt_compute
from shared.surfaces.aks.attempt_jobs import (
    ATTEMPTS,
    LISTEN,
    LISTENER,
    OF_JOB,
    PORT,
    Place,
    asked_of,
    job,
    no_room,
    of_platform,
    of_tenant,
)
from shared.surfaces.aks.attempt_quota import attempt_quota
from shared.surfaces.aks.attempt_targets import SLICES, OtherPod, other_pod, own_targets, targets
from shared.surfaces.aks.boundary_objects import CAPACITY, GATEWAY_LABEL, NAME, QUOTAS
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.instances import condition
from shared.surfaces.aks.kinds import JOBS, NAMESPACES, PODS
from shared.surfaces.aks.names import Installation
from shared.surfaces.boundaries import Boundary, Quota, networks_of
from shared.surfaces.isolation_attempts import TEXT_MAX, LayerAttempts, said_by

_WITHIN_S: Final = 30.0
"""Of each of the two pods; the first on a node waits for its image."""
_LOOK_S: Final = 0.5
_ANSWERS_WITHIN_S: Final = 5.0
_REMOVALS: Final = 5


class _NotInTime(Exception):
    """A pod did not come to what was waited for."""


@dataclass(frozen=True)
class ClusterAttempts:
    """The attempts of one installation, by the Python of *image*; None: nothing is tried."""

    api: ClusterApi
    installation: Installation
    clock: Clock
    image: str | None

    async def run(self, boundary: Boundary) -> tuple[LayerAttempts, ...]:
        """Return what a pod in *boundary* reached or may be, layer by layer, and what came in.

        Raises:
            Unavailable: nothing could be tried.
        """
        place = of_tenant(self.installation, boundary.environment, boundary.tenant)
        compute = await attempt_compute(self.api, place, self._image())
        try:
            by_pods = await self._by_pods(boundary)
        except (ApiRefusal, Unavailable) as failed:
            by_pods = inconclusive(failed.message)  # what dry runs reached counts all the same
        return (compute, *by_pods)

    async def _by_pods(self, boundary: Boundary) -> tuple[LayerAttempts, ...]:
        """Return what pods reached, the tenant's and one outside.

        Raises:
            ApiRefusal, Unavailable.
        """
        namespace, environment = boundary.name, boundary.environment
        of_both = self.installation, environment, boundary.tenant
        inside, outside = of_tenant(*of_both), of_platform(*of_both)
        for place in (inside, outside):
            await self._remove(place)  # of one that was killed: it takes room
        quotas = [await self.api.get(QUOTAS, each, namespace) for each in (NAME, CAPACITY)]
        if full := no_room(quotas):
            return inconclusive(full)
        pods, _ = await self.api.list_all(
            PODS, self.installation.of_environment(environment), keep=self._of(environment)
        )
        pods_there = [each for each in pods if each is not None]
        try:
            listener = await self._pod(LISTENER, inside, LISTEN, _is_ready)
            ways: Sequence[Callable[[], Awaitable[tuple[LayerAttempts, ...]]]] = (
                lambda: self._out(boundary, inside, listener, pods_there),
                lambda: self._in(inside, outside, listener, pods_there),
            )
            return joined(*await bounded_map(ways, lambda way: way(), at_once=len(ways)))
        except _NotInTime as late:
            return inconclusive(str(late))
        finally:
            # What stays ends by itself, and the next attempt removes it first: the answer counts.
            for place in (inside, outside):
                with suppress(ApiRefusal, Unavailable):
                    await self._remove(place)

    async def exceed(self, boundary: Boundary, quota: Quota) -> tuple[LayerAttempts, ...]:
        """Return what *boundary* takes beyond *quota*. Raises Unavailable."""
        place = of_tenant(self.installation, boundary.environment, boundary.tenant)
        return await attempt_quota(self.api, place, self._image(), quota)

    def _image(self) -> str:
        """Return the image of what tries. Raises Unavailable."""
        if self.image is None:
            raise Unavailable("no RUNTIME_ISOLATION_IMAGE names the image of what tries")
        return self.image

    async def _out(
        self, boundary: Boundary, inside: Place, listener: Object, pods: Sequence[OtherPod]
    ) -> tuple[LayerAttempts, ...]:
        """Return what a pod of the tenant reached."""
        try:
            api = await self.api.get(SLICES, "kubernetes", "default")
            tried = targets(pods, api, boundary.name, networks_of(boundary))
            pod = await self._pod(ATTEMPTS, inside, asked_of(listener, tried), ended)
        except (_NotInTime, ApiRefusal, Unavailable) as failed:
            return inconclusive(str(failed))
        return read(ended(pod) or {})

    async def _in(
        self, inside: Place, outside: Place, listener: Object, pods: Sequence[OtherPod]
    ) -> tuple[LayerAttempts, ...]:
        """Return what a pod of the platform's namespace reached of the tenant.

        That it could be reached is shown afterwards, by the platform: the boundary lets in the
        API server.
        """
        own = own_targets(pods, listener, inside.namespace, PORT)
        try:
            if await self._is_of_a_gateway(outside.namespace):
                why = f"{outside.namespace} has the label {GATEWAY_LABEL}, so its pods are let in"
                return (LayerAttempts(IsolationLayer.NETWORK, why),)
            other = await self._pod(LISTENER, outside, LISTEN, _is_ready)
            pod = await self._pod(ATTEMPTS, outside, asked_of(other, own), ended)
            network, _ = read(ended(pod) or {})
            if network.reached or network.inconclusive_because:
                return (came_in(network, outside.namespace),)
            return (LayerAttempts(IsolationLayer.NETWORK, await self._unreached(listener)),)
        except (_NotInTime, ApiRefusal, Unavailable) as failed:
            return (came_in(LayerAttempts(IsolationLayer.NETWORK, str(failed)), outside.namespace),)

    async def _is_of_a_gateway(self, namespace: str) -> bool:
        found = await self.api.get(NAMESPACES, namespace)
        labels = ((found or {}).get("metadata") or {}).get("labels") or {}
        return bool(labels.get(GATEWAY_LABEL) == "true")

    async def _unreached(self, listener: Object) -> str:
        """Return why the platform does not reach *listener*; empty where it does."""
        metadata = listener["metadata"]
        namespace = metadata["namespace"]
        path = PODS.path(namespace, f"{metadata['name']}:{PORT}", "/proxy/")
        status, said = await self.api.text(
            path, {}, namespace=namespace, at_most=TEXT_MAX, timeout_s=_ANSWERS_WITHIN_S
        )
        if status == HTTPStatus.NO_CONTENT:
            return ""
        words = said_by(said.decode(errors="replace"))
        return f"the platform does not reach the pod that listens either: {status} {words}"

    def _of(self, environment: EnvironmentId) -> Callable[[Object], Any]:
        """Return what is kept of a pod: nothing of one whose labels are not its namespace's."""

        def keep(pod: Object) -> Any:
            is_ours = self.installation.component_of(environment, pod["metadata"]) is not None
            return other_pod(pod) if is_ours else None

        return keep

    async def _pod(
        self, name: str, place: Place, asked: Mapping[str, Any], holds: Callable[[Object], object]
    ) -> Object:
        """Make the Job *name* of *place*; return its pod once it *holds*. Raises _NotInTime."""
        manifest = job(name, place, self._image(), asked)
        made = await self.api.create(JOBS, manifest)
        labels, namespace = {OF_JOB: made["metadata"]["uid"]}, made["metadata"]["namespace"]
        ends_at_s = self.clock.monotonic_s() + _WITHIN_S
        while True:
            pods, _ = await self.api.list_all(PODS, labels, namespace=namespace, keep=dict)
            for pod in pods:
                if holds(pod):
                    return pod
            if self.clock.monotonic_s() >= ends_at_s or any(map(ended, pods)):
                raise _NotInTime(f"the Job {name} did not come to try: {why_not(pods)}")
            await self.clock.sleep(_LOOK_S)

    async def _remove(self, place: Place) -> None:
        """Remove both Jobs, also those of an earlier attempt; their pods go with them."""
        try:
            await self._remove_job(place.name(ATTEMPTS), place.namespace)
        finally:
            await self._remove_job(place.name(LISTENER), place.namespace)

    async def _remove_job(self, name: str, namespace: str) -> None:
        for _ in range(_REMOVALS):  # while its state changes, it is read again
            found = await self.api.get(JOBS, name, namespace)
            try:
                if found is not None:
                    await self.api.delete(JOBS, found)
            except ApiRefusal as refusal:
                if refusal.status != HTTPStatus.CONFLICT:
                    raise
            else:
                return


def _is_ready(pod: Object) -> bool:
    is_ready = condition(pod, "Ready").get("status") == "True"
    return is_ready and bool((pod.get("status") or {}).get("podIP"))
