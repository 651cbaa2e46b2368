"""Attempts to have more than a tenant's quota, by dry runs of pods.

What is more than the quota of the binding must be refused by a quota that names the measure.
"""

from collections.abc import Iterator, Sequence

from shared.contracts.isolation import IsolationLayer
from shared.surfaces.aks.attempt_jobs import LIMITS, Place, pod_spec
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.dry_runs import control, exceeded, refusal_of
from shared.surfaces.boundaries import Quota
from shared.surfaces.isolation_attempts import TEXT_MAX, LayerAttempts


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
    if why := await control(api, place, image):
        return (_quota(why),)
    whys, reached = [], []
    for measure, limit in more.items():
        limits = {**dict.fromkeys(LIMITS, "0"), measure: limit}
        refused = await refusal_of(api, place, pod_spec(place, image, limits))
        if not refused:
            reached.append(f"in a dry run the API server takes a pod with {limit} of {measure}")
        elif f"limits.{measure}" not in exceeded(refused):
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
