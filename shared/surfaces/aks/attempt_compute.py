"""Attempts to get at a node, and so at the pods of others on it, by dry runs of pods.

Each must be refused by the pod security of the tenant's namespace.
"""

from collections.abc import Iterator

from shared.contracts.isolation import IsolationLayer
from shared.surfaces.aks.attempt_jobs import LIMITS, Place, pod_spec
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.dry_runs import control, refusal_of
from shared.surfaces.isolation_attempts import TEXT_MAX, LayerAttempts


async def attempt_compute(api: ClusterApi, place: Place, image: str) -> LayerAttempts:
    """Return which pods *place* takes that get at their node. Raises Unavailable."""
    layer = IsolationLayer.COMPUTE
    if why := await control(api, place, image):
        return LayerAttempts(layer, why[:TEXT_MAX])
    whys, reached = [], []
    for what, spec in _pods(place, image):
        refused = await refusal_of(api, place, spec)
        if not refused:
            reached.append(f"in a dry run the API server takes a pod that {what}")
        elif "violates PodSecurity" not in refused:
            whys.append(f"pod security does not refuse a pod that {what}: {refused}")
    why = "" if reached else "; ".join(whys)
    return LayerAttempts(layer, why[:TEXT_MAX], tuple(reached))


def _pods(place: Place, image: str) -> Iterator[tuple[str, Object]]:
    """Yield what each pod does, and its spec, which is that of one that fits but for that."""
    spec = pod_spec(place, image, LIMITS)
    (container,) = spec["containers"]
    yield "sees the processes of its node", {**spec, "hostPID": True}
    yield "has the network of its node", {**spec, "hostNetwork": True}
    files = [{"name": "node", "hostPath": {"path": "/"}}]
    yield "has the files of its node", {**spec, "volumes": files}
    privileged = {**container, "securityContext": {"privileged": True}}
    yield "is privileged on its node", {**spec, "containers": [privileged]}
