"""Pods that the API server judges and does not make: who would refuse one, and by which words.

Admission counts in a dry run as in any other request.
"""

import re
from collections.abc import Sequence
from typing import Final

from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.attempt_jobs import LIMITS, Place, pod_spec
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import PODS

_NAME: Final = "isolation-dry-run"
_EXCEEDED: Final = re.compile(r"exceeded quota: [^,]+, requested: (.+?), used: ")


async def refusal_of(api: ClusterApi, place: Place, spec: Object) -> str:
    """Return why a pod of *spec* is refused in *place*; empty where it is taken.

    Raises:
        Unavailable.
    """
    metadata = {"name": _NAME, "namespace": place.namespace, "labels": {**place.labels}}
    pod = {"apiVersion": PODS.version, "kind": PODS.name, "metadata": metadata, "spec": spec}
    try:
        await api.create(PODS, pod, dry_run=True)
    except ApiRefusal as refusal:
        return refusal.message or f"it answers {refusal.status}"
    return ""


async def control(api: ClusterApi, place: Place, image: str) -> str:
    """Return why no pod at all is taken in *place*, so that no refusal there shows anything.

    Empty where one that fits is taken, or where a full quota refuses it, as it may for good.

    Raises:
        Unavailable.
    """
    refused = await refusal_of(api, place, pod_spec(place, image, LIMITS))
    return "" if not refused or exceeded(refused) else f"a pod that fits is refused, too: {refused}"


def exceeded(refused: str) -> Sequence[str]:
    """Return the measures that a quota names in its refusal; none where no quota refused."""
    found = _EXCEEDED.search(refused)
    return [each.partition("=")[0] for each in found[1].split(",")] if found else []
