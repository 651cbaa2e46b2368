"""Runs the attempts from inside of one tenant, and removes their Jobs, with which their pods go."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.attempt_answer import ended, inconclusive, read, why_not
from shared.surfaces.aks.attempt_jobs import (
    ATTEMPTS,
    LISTEN,
    LISTENER,
    OF_JOB,
    asked_of,
    job,
    no_room,
)
from shared.surfaces.aks.attempt_targets import SLICES, other_pod, targets
from shared.surfaces.aks.boundary_objects import CAPACITY, NAME, QUOTAS
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.instances import condition
from shared.surfaces.aks.kinds import JOBS, PODS
from shared.surfaces.aks.names import Installation
from shared.surfaces.boundaries import Boundary, networks_of
from shared.surfaces.isolation_attempts import LayerAttempts

_WITHIN_S: Final = 30.0
"""Of each of the two pods; the first on a node waits for its image."""
_LOOK_S: Final = 0.5
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
        """Return what a pod in *boundary* reached, layer by layer.

        Raises:
            ApiRefusal, Unavailable.
        """
        if self.image is None:
            raise Unavailable("no RUNTIME_ISOLATION_IMAGE names the image of what tries")
        namespace = boundary.name
        await self._remove(namespace)  # of one that was killed: it takes room
        quotas = [await self.api.get(QUOTAS, each, namespace) for each in (NAME, CAPACITY)]
        if full := no_room(quotas):
            return inconclusive(full)
        environment, tenant = boundary.environment, boundary.tenant
        pods, _ = await self.api.list_all(
            PODS, self.installation.of_environment(environment), keep=self._of(environment)
        )
        api = await self.api.get(SLICES, "kubernetes", "default")
        others = [each for each in pods if each is not None]
        tried = targets(others, api, namespace, networks_of(boundary))
        try:
            listener = await self._pod(LISTENER, environment, tenant, LISTEN, _is_ready)
            asked = asked_of(listener, tried)
            pod = await self._pod(ATTEMPTS, environment, tenant, asked, ended)
            return read(ended(pod) or {})
        except _NotInTime as late:
            return inconclusive(str(late))
        finally:
            # What stays ends by itself, and the next attempt removes it first: the answer counts.
            with suppress(ApiRefusal, Unavailable):
                await self._remove(namespace)

    def _of(self, environment: EnvironmentId) -> Callable[[Object], Any]:
        """Return what is kept of a pod: nothing of one whose labels are not its namespace's."""

        def keep(pod: Object) -> Any:
            is_ours = self.installation.component_of(environment, pod["metadata"]) is not None
            return other_pod(pod) if is_ours else None

        return keep

    async def _pod(
        self, name: str, environment: EnvironmentId, tenant: TenantId, asked: Mapping[str, Any],
        holds: Callable[[Object], object],
    ) -> Object:  # fmt: skip
        """Make the Job *name*, and return its pod once it *holds*. Raises _NotInTime."""
        assert self.image is not None, "without an image nothing is made"
        manifest = job(name, environment, tenant, self.installation, self.image, asked)
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

    async def _remove(self, namespace: str) -> None:
        """Remove both Jobs, also those of an earlier attempt; their pods go with them."""
        try:
            await self._remove_job(ATTEMPTS, namespace)
        finally:
            await self._remove_job(LISTENER, namespace)

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
