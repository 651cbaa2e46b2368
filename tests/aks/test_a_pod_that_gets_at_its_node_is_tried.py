"""Pods that get at their node are tried in dry runs: only pod security is taken for a refusal."""

from collections.abc import Mapping
from typing import Any, Final, cast

import pytest

from shared.kernel.ids import TenantId
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.attempt_compute import attempt_compute
from shared.surfaces.aks.attempt_jobs import of_tenant
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import PODS, Kind
from shared.surfaces.aks.names import Installation
from shared.surfaces.isolation_attempts import LayerAttempts
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import run_virtual
from tests.surfaces.harness import ENVIRONMENT

PLACE: Final = of_tenant(Installation(), ENVIRONMENT, TenantId("globex"))
VIOLATES: Final = 'pods "isolation-dry-run" is forbidden: violates PodSecurity "restricted:latest"'
KEPT: Final = {
    "hostPID": VIOLATES, "hostNetwork": VIOLATES, "volumes": VIOLATES, "privileged": VIOLATES,
}  # fmt: skip
FULL: Final = "exceeded quota: tenant, requested: pods=1, used: pods=3, limited: pods=3"


class Cluster(MemoryApiServer):
    """Refuses a pod that does one thing with the words that *refused* has for that."""

    def __init__(self, refused: Mapping[str, str]) -> None:
        super().__init__()
        self.refused = refused
        self.asked: list[str] = []

    async def create(self, kind: Kind, manifest: Object, *, dry_run: bool = False) -> Object:
        assert (kind, dry_run) == (PODS, True)
        done = _done_by(manifest["spec"])
        self.asked.append(done)
        if done in self.refused:
            raise ApiRefusal(403, "Forbidden", self.refused[done], ())
        return await super().create(kind, manifest, dry_run=dry_run)


def _done_by(spec: Mapping[str, Any]) -> str:
    (container,) = spec["containers"]
    if container["securityContext"].get("privileged"):
        return "privileged"
    done = {"hostPID", "hostNetwork", "volumes"} & spec.keys()
    return "".join(done) or "fits"


def tried(cluster: Cluster) -> LayerAttempts:
    return run_virtual(attempt_compute(cast("ClusterApi", cluster), PLACE, "image"))


@pytest.mark.parametrize("refused", [KEPT, {**KEPT, "fits": FULL}], ids=["room", "a-full-quota"])
def test_who_gets_no_pod_that_gets_at_its_node_is_kept(refused: Mapping[str, str]) -> None:
    cluster = Cluster(refused)

    found = tried(cluster)

    assert (found.inconclusive_because, found.reached) == ("", ())
    assert cluster.asked == ["fits", *KEPT]
    assert cluster.objects == {}


@pytest.mark.parametrize(
    ("taken", "what"),
    [
        ("hostPID", "sees the processes of its node"),
        ("hostNetwork", "has the network of its node"),
        ("volumes", "has the files of its node"),
        ("privileged", "is privileged on its node"),
    ],
)
def test_each_pod_that_is_taken_is_told(taken: str, what: str) -> None:
    refused = {name: said for name, said in KEPT.items() if name != taken}

    found = tried(Cluster(refused))

    assert found.inconclusive_because == ""
    assert found.reached == (f"in a dry run the API server takes a pod that {what}",)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        pytest.param(
            {**KEPT, "fits": "User cannot create resource pods"},
            "a pod that fits is refused, too: User cannot create resource pods",
            id="none-is-taken",
        ),
        pytest.param(
            {**KEPT, "privileged": "a webhook is against it"},
            "pod security does not refuse a pod that is privileged on its node: a webhook is",
            id="by-something-else",
        ),
    ],
)
def test_what_pod_security_does_not_refuse_shows_nothing(
    refused: Mapping[str, str], words: str
) -> None:
    found = tried(Cluster(refused))

    assert found.inconclusive_because.startswith(words)
    assert found.reached == ()
