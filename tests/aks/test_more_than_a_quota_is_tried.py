"""Pods of more than a quota are tried in dry runs: by whom each is refused decides."""

from typing import Final, cast

import pytest

from shared.kernel.ids import TenantId
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.attempt_jobs import of_tenant
from shared.surfaces.aks.attempt_quota import attempt_quota
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import PODS, Kind
from shared.surfaces.aks.names import Installation
from shared.surfaces.boundaries import Quota
from shared.surfaces.isolation_attempts import LayerAttempts
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import run_virtual
from tests.surfaces.harness import ENVIRONMENT

PLACE: Final = of_tenant(Installation(), ENVIRONMENT, TenantId("globex"))
QUOTA: Final = Quota(cpu=1.5, memory_mb=1024)
FITS: Final = "100m/64Mi"
MORE_CPU: Final = "1501m/0"
MORE_MEMORY: Final = "0/1025Mi"


def exceeded(*measures: str, quota: str = "tenant") -> str:
    """Return the refusal of an API server whose *quota* has no room for *measures*."""
    listed = [",".join(f"{each}={size}" for each in measures) for size in ("3", "2", "4")]
    return (
        f'pods "isolation-quota" is forbidden: exceeded quota: {quota}, requested: {listed[0]},'
        f" used: {listed[1]}, limited: {listed[2]}"
    )


class Cluster(MemoryApiServer):
    """Refuses a pod with the words that *refused* has for its limits, and takes every other."""

    def __init__(self, refused: dict[str, str]) -> None:
        super().__init__()
        self.refused = refused
        self.asked: list[str] = []

    async def create(self, kind: Kind, manifest: Object, *, dry_run: bool = False) -> Object:
        assert (kind, dry_run) == (PODS, True)
        limits = manifest["spec"]["containers"][0]["resources"]["limits"]
        asked = f"{limits['cpu']}/{limits['memory']}"
        self.asked.append(asked)
        said = self.refused.get(asked)
        if said is not None:
            raise ApiRefusal(403, "Forbidden", said, ())
        return await super().create(kind, manifest, dry_run=dry_run)


def tried(cluster: Cluster, quota: Quota = QUOTA) -> LayerAttempts:
    (found,) = run_virtual(attempt_quota(cast("ClusterApi", cluster), PLACE, "image", quota))
    return found


KEPT: Final[dict[str, str]] = {
    MORE_CPU: exceeded("limits.cpu"),
    MORE_MEMORY: exceeded("limits.memory"),
}
FULL: Final = exceeded("limits.cpu", "limits.memory", "pods")


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(KEPT, id="there-is-room"),
        pytest.param(dict.fromkeys((FITS, MORE_CPU, MORE_MEMORY), FULL), id="it-is-full"),
        pytest.param(
            {**KEPT, MORE_MEMORY: exceeded("limits.memory", quota="capacity")}, id="the-smaller-one"
        ),
    ],
)
def test_who_gets_no_more_than_its_quota_is_kept(refused: dict[str, str]) -> None:
    cluster = Cluster(refused)

    found = tried(cluster)

    assert (found.inconclusive_because, found.reached) == ("", ())
    assert cluster.asked == [FITS, MORE_CPU, MORE_MEMORY]
    assert cluster.objects == {}


def test_what_is_taken_is_told_with_its_measure() -> None:
    refused = {**KEPT, MORE_CPU: "pods are not admitted today"}
    del refused[MORE_MEMORY]

    found = tried(Cluster(refused))

    assert found.inconclusive_because == ""
    assert found.reached == ("in a dry run the API server takes a pod with 1025Mi of memory",)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        pytest.param(
            {**KEPT, FITS: "pods is forbidden: violates PodSecurity"},
            "a pod that fits is refused, too: pods is forbidden: violates PodSecurity",
            id="none-is-taken",
        ),
        pytest.param(
            {**KEPT, MORE_MEMORY: "maximum memory usage per Container is 512Mi"},
            "no quota refuses a pod with 1025Mi of memory: maximum memory usage per Container",
            id="by-something-else",
        ),
        pytest.param(
            {**KEPT, MORE_MEMORY: exceeded("pods")},
            "no quota refuses a pod with 1025Mi of memory: pods",
            id="for-another-measure",
        ),
    ],
)
def test_what_no_quota_refuses_shows_nothing(refused: dict[str, str], words: str) -> None:
    found = tried(Cluster(refused))

    assert found.inconclusive_because.startswith(words)
    assert found.reached == ()


@pytest.mark.parametrize("quota", [Quota(), Quota(instances=3)])
def test_what_one_pod_cannot_exceed_is_not_tried(quota: Quota) -> None:
    cluster = Cluster({})

    assert run_virtual(attempt_quota(cast("ClusterApi", cluster), PLACE, "image", quota)) == ()
    assert cluster.asked == []
