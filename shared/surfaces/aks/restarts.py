"""Replaces the pods of a revision, as `kubectl rollout restart` does, once for each step."""

from typing import Final

from shared.kernel.fence import Fence
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import DEPLOYMENTS
from shared.surfaces.aks.names import MANAGER, digest_of
from shared.surfaces.aks.server_side_apply import refused

RESTARTED_BY: Final = f"{MANAGER}/restarted-by"
"""The annotation of pods with the step that replaced the ones before them."""


async def restart(api: ClusterApi, deployment: Object, fence: Fence) -> None:
    """Let the Deployment replace its pods, each when the next one is ready.

    Raises:
        WriteConflict, ObjectRefused, Unavailable.
    """
    step = digest_of(fence.operation, fence.step)
    template = deployment["spec"]["template"]["metadata"]
    if (template.get("annotations") or {}).get(RESTARTED_BY) == step:
        return
    metadata = deployment["metadata"]
    patch = {
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_BY: step}}}},
    }
    try:
        await api.merge(DEPLOYMENTS, metadata["name"], metadata["namespace"], patch)
    except ApiRefusal as refusal:
        raise refused(refusal, f"Deployment {metadata['name']}") from refusal
