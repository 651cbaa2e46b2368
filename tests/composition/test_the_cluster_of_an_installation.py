"""One process has one surface on the cluster that its settings name, made as they say."""

import asyncio
import json
from pathlib import Path

import pytest

from shared.composition import cluster
from shared.composition.cluster import Clusters
from shared.composition.cluster_settings import cluster_of
from shared.composition.settings import InvalidSetting, Settings, read_settings
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import SystemClock
from shared.kernel.fence import Fence
from shared.surfaces.aks import surface
from shared.surfaces.aks.kinds import CONFIG_MAPS, GATEWAY_CLASSES, GATEWAYS
from shared.surfaces.errors import TrafficUnavailable
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SITE

KUBECONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:20000"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


@pytest.fixture
def named(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(KUBECONFIG))
    return {"RUNTIME_PROFILE": "local", "RUNTIME_KUBECONFIG": str(path)}


def nobody() -> None:
    pytest.fail("not asked yet")


def read(given: dict[str, str], **more: str) -> Settings:
    return read_settings({**given, **more})


def test_the_apps_of_a_process_share_it(named: dict[str, str]) -> None:
    clusters = Clusters(SystemClock())

    of_one = clusters.surfaces(read(named), nobody)[ComputeTargetKind.AKS]
    of_another = clusters.surfaces(read(named), nobody)[ComputeTargetKind.AKS]
    elsewhere = clusters.surfaces(read(named, RUNTIME_CLUSTER_INSTALLATION="ci"), nobody)

    assert of_one is of_another
    assert elsewhere[ComputeTargetKind.AKS] is not of_one


def test_it_is_closed_with_its_connection(
    named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    async def close(self: object) -> None:
        closed.append(type(self).__name__)

    monkeypatch.setattr(surface.AksSurface, "close", close)
    monkeypatch.setattr(cluster.ClusterAccess, "close", close)
    clusters = Clusters(SystemClock())
    clusters.surfaces(read(named), nobody)

    asyncio.run(clusters.close())

    assert closed == ["AksSurface", "ClusterAccess"]


def test_an_engine_of_another_process_is_told_all_of_which_a_surface_is_made() -> None:
    of_calls = {"client_id", "ca_file"}  # by which that process calls others
    names = {str(Settings.model_fields[each].alias) for each in {*cluster._NAMING} - of_calls}

    assert cluster_of(dict.fromkeys(names, "/x")).keys() == names


def test_without_a_cluster_there_is_none() -> None:
    assert Clusters(SystemClock()).surfaces(read({"RUNTIME_PROFILE": "local"}), nobody) == {}


def test_it_has_the_name_and_the_gateway_class_of_the_settings(
    named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        server = MemoryApiServer()
        accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
        for name in ("istio", "istio-remote"):
            found = {"metadata": {"name": name}, "status": accepted}
            server.objects[GATEWAY_CLASSES, None, name] = found
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        settings = read(named, RUNTIME_CLUSTER_INSTALLATION="ci", RUNTIME_GATEWAY_CLASS="istio")
        opened = Clusters(LoopClock()).surfaces(settings, nobody)[ComputeTargetKind.AKS]

        with pytest.raises(TrafficUnavailable, match="has no address yet"):
            await opened.ensure_site(SITE, Fence(1, "op-1", "step"))

        records = [place for kind, place, _ in server.objects if kind is CONFIG_MAPS]
        [(place, gateway)] = [
            (place, each) for (kind, place, _), each in server.objects.items() if kind is GATEWAYS
        ]
        assert records == ["ci"]
        assert gateway["spec"]["gatewayClassName"] == "istio"
        assert place is not None
        assert place.startswith("ci-acme-")

    run_virtual(main())


@pytest.mark.parametrize("name", ["", "CI", "1ci", "ci-", "a" * 31])
def test_a_name_that_no_namespace_can_begin_with_is_refused(
    named: dict[str, str], name: str
) -> None:
    with pytest.raises(InvalidSetting, match="RUNTIME_CLUSTER_INSTALLATION"):
        read(named, RUNTIME_CLUSTER_INSTALLATION=name)
