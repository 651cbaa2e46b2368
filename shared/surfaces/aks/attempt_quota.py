"""Attempts to have more than a tenant's quota: dry runs of pods, which the API server judges alike.

It admits such a pod by the quotas of the namespace as any other, and makes none. What is more than
the quota of the binding must be refused by a quota that names the measure; a pod that fits is the
control, as whoever refuses that one, too, shows nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from shared.contracts.tenants import IsolationLayer
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.attempt_jobs import LIMITS, Place, pod_spec
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.kinds import PODS
from shared.surfaces.boundaries import Quota
from shared.surfaces.isolation_attempts import TEXT_MAX, LayerAttempts

_NAME: Final = "isolation-quota"
_EXCEEDED: Final = re.compile(r"exceeded quota: [^,]+, requested: (.+?), used: ")


async def attempt_quota(
    api: ClusterApi, place: Place, image: str, quota: Quota
) -> tuple[LayerAttempts, ...]:
    """Return what *place* takes beyond *quota*; nothing where no single pod can be beyond it.

    Raises:
        Unavailable.
    """
    more = dict(_more_than(quota))
    if not more:
        return ()
    refused = await _refusal(api, place, image, LIMITS)
    if refused and not _exceeded(refused):  # a full quota takes no pod at all
        return (_quota(f"a pod that fits is refused, too: {refused}"),)
    whys, reached = [], []
    for measure, limit in more.items():
        limits = {**dict.fromkeys(LIMITS, "0"), measure: limit}
        refused = await _refusal(api, place, image, limits)
        if not refused:
            reached.append(f"in a dry run the API server takes a pod with {limit} of {measure}")
        elif f"limits.{measure}" not in _exceeded(refused):
            whys.append(f"no quota refuses a pod with {limit} of {measure}: {refused}")
    return (_quota("" if reached else "; ".join(whys), reached),)


def _quota(why: str, reached: Sequence[str] = ()) -> LayerAttempts:
    return LayerAttempts(IsolationLayer.QUOTA, why[:TEXT_MAX], tuple(reached))


def _more_than(quota: Quota) -> Iterator[tuple[str, str]]:
    """Yield each measure of which one pod can have more, and how much that is."""
    if quota.cpu is not None:
        yield "cpu", f"{round(quota.cpu * 1000) + 1}m"
    if quota.memory_mb is not None:
        yield "memory", f"{quota.memory_mb + 1}Mi"


async def _refusal(api: ClusterApi, place: Place, image: str, limits: Mapping[str, str]) -> str:
    """Return why the API server refuses a pod with *limits*; empty where it takes it."""
    metadata = {"name": _NAME, "namespace": place.namespace, "labels": {**place.labels}}
    spec = pod_spec(place, image, limits)
    pod = {"apiVersion": PODS.version, "kind": PODS.name, "metadata": metadata, "spec": spec}
    try:
        await api.create(PODS, pod, dry_run=True)
    except ApiRefusal as refusal:
        return refusal.message or f"it answers {refusal.status}"
    return ""


def _exceeded(refused: str) -> Sequence[str]:
    """Return the measures that a quota names in its refusal; none where no quota refused."""
    found = _EXCEEDED.search(refused)
    return [each.partition("=")[0] for each in found[1].split(",")] if found else []
