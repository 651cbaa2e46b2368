"""The plane infrastructure: the site, its address and its servers, as they were provisioned."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from function_apps.drift.errors import NotRepairable
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Present, Reading
from shared.surfaces.data_servers import LiveServer
from shared.surfaces.observed_state import Site
from shared.surfaces.spec import Resources, SiteSpec
from tests.drift.compared import OWN_WORK_S, Drift, drift, virtual
from tests.drift.isolated import believed, coverage, status, told
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT

ENDPOINT: Final = "http://shop.test/"
SERVER: Final = LiveServer("orders", "LocalPostgres", 5432, "Ready")
DATA: Final = {"kind": "LocalPostgres", "name": "orders"}
PORT: Final = {"data.orders.port": "5432"}


@dataclass
class ServedSites:
    """Reads the sites of *drift*'s surface, with servers of data."""

    drift: Drift
    servers: list[LiveServer] = field(default_factory=lambda: [SERVER])
    changes: dict[str, Any] = field(default_factory=dict)

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        reading = await self.drift.surface.read_site(environment)
        if isinstance(reading, Present):
            servers = tuple(self.servers)
            return Present(replace(reading.value, servers=servers, **self.changes))
        return reading


async def provisioned(**changes: Any) -> tuple[Drift, ServedSites]:
    """Return the service, which has scanned an environment with a server, and what it reads."""
    made = await drift()
    sites = ServedSites(made)
    made.app = replace(made.app, sites=dict.fromkeys(ComputeTargetKind, sites))
    content = {"dataResources": [DATA], "outputs": PORT, "endpoint": ENDPOINT, **changes}
    await made.hear(told(2, **content))
    await made.scan()
    await believed(made)
    return made, sites


@virtual
async def test_what_is_as_provisioned_is_no_finding_and_was_looked_at() -> None:
    made, _ = await provisioned()

    assert await made.findings() == []
    assert await coverage(made, "infrastructure") == {
        "plane": "infrastructure", "complete": True, "seen": 1, "unknown": 0, "reason": None,
    }  # fmt: skip


@virtual
async def test_a_site_that_is_gone_is_one_finding_of_the_environment() -> None:
    made, _ = await provisioned()

    made.world.sites[ENVIRONMENT].spec = None
    await believed(made)

    (finding,) = await made.findings(plane="infrastructure")
    assert (finding["path"], finding["kind"]) == ("LocalProcess/site", "Missing")
    assert (finding["severity"], finding["serviceId"]) == ("High", None)
    assert finding["remediation"] == {
        "policy": "ask", "command": "RepairEnvironment", "owner": "environments",
    }  # fmt: skip


@virtual
async def test_a_site_without_a_part_and_an_address_is_missing_as_a_whole() -> None:
    made, sites = await provisioned()

    sites.changes = {"is_ready": False, "endpoint": ""}
    await believed(made)

    assert (await made.only())["path"] == "LocalProcess/site"


@virtual
async def test_another_public_address_is_found_with_both() -> None:
    made, sites = await provisioned()

    sites.changes = {"endpoint": "http://other.test/"}
    await believed(made)

    finding = await made.only()
    assert finding["path"] == "LocalProcess/endpoint"
    assert (finding["desired"], finding["actual"]) == (ENDPOINT, "http://other.test/")


@virtual
async def test_a_server_that_is_gone_or_another_is_found_by_its_properties() -> None:
    made, sites = await provisioned()

    sites.servers = [replace(SERVER, port=6543)]
    await believed(made)
    assert (await made.only())["path"] == "LocalProcess/data/orders/port"

    sites.servers = []
    await believed(made)
    kinds = {each["path"]: each["kind"] for each in await made.findings(status="Open")}
    assert kinds == {
        "LocalProcess/data/orders/kind": "Missing",
        "LocalProcess/data/orders/port": "Missing",
    }


@pytest.mark.parametrize(
    "servers",
    [
        pytest.param([replace(SERVER, reason="Exited")], id="it-restarts"),
        pytest.param([LiveServer("old", "LocalValkey", 1, "Ready"), SERVER], id="one-was-retained"),
    ],
)
@virtual
async def test_what_the_surface_heals_or_an_earlier_generation_left_is_none(
    servers: list[LiveServer],
) -> None:
    made, sites = await provisioned()

    sites.servers = servers
    await believed(made)

    assert await made.findings() == []


@virtual
async def test_an_update_is_no_finding_while_it_runs_nor_before_its_end_is_heard() -> None:
    made, sites = await provisioned()

    await made.hear(status(3, "Updating"))
    await made.surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "shop", "test"), made.fence())
    sites.servers = [replace(SERVER, port=6543)]
    await believed(made)
    assert (await coverage(made, "infrastructure"))["reason"]["code"] == "OwnWork"
    ports = {"data.orders.port": "6543"}
    await made.hear(told(4, dataResources=[DATA], outputs=ports, endpoint=ENDPOINT))
    await believed(made)

    assert made.told("RuntimeDriftDetected") == []


@virtual
async def test_a_site_that_the_platform_has_just_written_is_judged_later() -> None:
    made, sites = await provisioned()
    sites.servers = [replace(SERVER, port=6543)]
    await made.scan_anew()
    await made.app.service.clock.sleep(OWN_WORK_S)

    await made.surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "shop", "test"), made.fence())
    await made.scan_anew()

    assert await made.findings() == []


@virtual
async def test_a_read_without_an_answer_changes_nothing() -> None:
    made, sites = await provisioned()
    sites.changes = {"endpoint": "http://other.test/"}
    await believed(made)

    sites.changes = {}
    made.world.unreadable = "the machine is away"
    await believed(made)

    assert (await made.only())["status"] == "Open"
    assert (await coverage(made, "infrastructure"))["reason"]["code"] == "Unread"


@virtual
async def test_coverage_names_what_no_surface_shows() -> None:
    made, _ = await provisioned(dataResources=[{"kind": "LocalFolder", "name": "files"}])

    seen = await coverage(made, "infrastructure")

    assert (seen["complete"], seen["seen"], seen["unknown"]) == (False, 1, 1)
    assert seen["reason"] == {
        "code": "NotShown", "message": "files (LocalFolder): no surface shows it",
    }  # fmt: skip


@virtual
async def test_a_folder_of_data_that_is_gone_is_found_and_its_repair_destroys() -> None:
    made, sites = await provisioned(dataResources=[{"kind": "LocalFolder", "name": "files"}])
    sites.changes = {"volumes": ("files", "of-an-earlier-generation")}
    await believed(made)
    assert await made.findings() == []
    assert (await coverage(made, "infrastructure"))["complete"]

    sites.changes = {"volumes": ("of-an-earlier-generation",)}
    await believed(made)

    finding = await made.only()
    assert (finding["path"], finding["kind"]) == ("LocalProcess/data/files/folder", "Missing")
    assert (finding["risk"], finding["remediation"]["policy"]) == ("Destructive", "ask")


def on_cluster(**limits: Any) -> dict[str, Any]:
    """Return an environment on a cluster, which holds all its workloads to *limits*."""
    return {"kind": "AKS", "dataResources": [], "capacities": {"AKS": limits} if limits else {}}


@pytest.mark.parametrize(
    ("asked", "live"),
    [
        pytest.param({"cpu": 2, "memoryMib": 1024}, Resources(1024, 2.0), id="the-same"),
        pytest.param({"cpu": 0.5}, Resources(None, 0.50), id="in-other-words"),
        pytest.param({"cpu": 0.0025}, Resources(None, 0.002), id="in-thousandths-of-a-core"),
        pytest.param({"cpu": 0.0001}, Resources(None, 0.001), id="less-than-a-thousandth"),
        pytest.param({}, Resources(), id="without-limits"),
    ],
)
@virtual
async def test_a_capacity_as_it_was_asked_for_is_no_finding(
    asked: dict[str, Any], live: Resources
) -> None:
    made, sites = await provisioned(**on_cluster(**asked))

    sites.changes = {"capacity": live}
    await believed(made)

    assert await made.findings() == []


@pytest.mark.parametrize(
    ("asked", "live", "found"),
    [
        pytest.param({"cpu": 2}, Resources(None, 4.0), ("cpu", "2", "4"), id="raised"),
        pytest.param({"memoryMib": 512}, Resources(), ("memoryMib", "512", "unlimited"), id="gone"),
        pytest.param({}, Resources(None, 1.0), ("cpu", "unlimited", "1"), id="given"),
    ],
)
@virtual
async def test_a_capacity_that_somebody_changed_is_found_by_its_measure(
    asked: dict[str, Any], live: Resources, found: tuple[str, str, str]
) -> None:
    made, sites = await provisioned(**on_cluster(**asked))

    sites.changes = {"capacity": live}
    await believed(made)

    finding = await made.only()
    name, desired, actual = found
    assert (finding["path"], finding["kind"]) == (f"AKS/capacity/{name}", "Changed")
    assert (finding["desired"], finding["actual"]) == (desired, actual)


@virtual
async def test_a_capacity_that_an_earlier_version_did_not_tell_is_not_compared() -> None:
    made, sites = await provisioned(kind="AKS", dataResources=[])

    sites.changes = {"capacity": Resources(1024, 2.0)}
    await believed(made)

    assert await made.findings() == []


@virtual
async def test_another_tenant_is_told_nothing_of_it() -> None:
    made, sites = await provisioned(ownerTenantId="globex")

    sites.changes = {"endpoint": "http://other.test/"}
    await believed(made)

    assert await made.findings() == []
    assert (await coverage(made, "infrastructure"))["reason"]["code"] == "OfAnotherTenant"


@virtual
async def test_the_planes_of_an_ordered_scan_are_the_only_ones_that_are_judged() -> None:
    made, sites = await provisioned()
    sites.changes = {"endpoint": "http://other.test/"}
    await made.scan_anew()
    await made.app.service.clock.sleep(OWN_WORK_S)

    await made.scan_anew(planes=["tenancy"])
    assert await made.findings() == []
    assert (await coverage(made, "infrastructure"))["reason"]["code"] == "NotAsked"

    await made.scan_anew(planes=["infrastructure"])
    assert (await made.only())["path"] == "LocalProcess/endpoint"


@virtual
async def test_a_safe_repair_is_refused_while_it_would_make_a_lost_folder_anew() -> None:
    made, sites = await provisioned(dataResources=[{"kind": "LocalFolder", "name": "files"}])
    sites.changes = {"volumes": (), "endpoint": "http://other.test/"}
    await believed(made)
    found = {each["path"]: each for each in await made.findings()}
    folder = found["LocalProcess/data/files/folder"]

    with pytest.raises(NotRepairable, match=folder["findingId"]):
        await made.decide(found["LocalProcess/endpoint"], "remediate")

    assert (await made.decide(folder, "remediate"))["status"] == "Remediating"
