"""The plane tenancy: a tenant's boundaries as they are live, beside what its binding wants."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from function_apps.drift.errors import NotRepairable
from shared.contracts.drift import RemediationPolicy
from shared.surfaces.aks.boundary_objects import BoundaryObjects
from shared.surfaces.boundaries import GATEWAYS, WAY_TO_PLATFORM, Quota, quota_properties
from shared.surfaces.capabilities import Feature
from tests.drift.compared import OWN_WORK_S, virtual
from tests.drift.isolated import (
    QUOTA,
    SPEC,
    OtherBoundaries,
    believed,
    bound,
    coverage,
    limit,
    proof,
    status,
)
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, bound_tenant, environment


@virtual
async def test_a_boundary_that_is_as_bound_is_no_finding_and_was_looked_at() -> None:
    made = await bound()

    assert await made.findings() == []
    assert await coverage(made, "tenancy") == {
        "plane": "tenancy", "complete": True, "seen": 1, "unknown": 0, "reason": None,
    }  # fmt: skip


@virtual
async def test_another_quota_is_a_finding_of_the_environment_by_its_property() -> None:
    made = await bound()

    limit(made, cpu=64.0)
    await believed(made)

    finding = await made.only()
    assert (finding["plane"], finding["path"]) == ("tenancy", "LocalProcess/quota/cpu")
    assert (finding["desired"], finding["actual"]) == ("2", "64")
    assert (finding["serviceId"], finding["moduleId"]) == (None, None)
    assert finding["remediation"]["owner"] == "environments"
    (event,) = made.told("RuntimeDriftDetected")
    assert event["findingId"] == finding["findingId"]


@virtual
async def test_of_a_surface_that_keeps_a_quota_only_the_quota_is_compared() -> None:
    made = await bound(able=(Feature.QUOTAS,))
    assert (await coverage(made, "tenancy"))["seen"] == 1

    limit(made, cpu=64.0)
    await believed(made)

    assert (await made.only())["path"] == "LocalProcess/quota/cpu"


@virtual
async def test_a_tenant_without_a_quota_has_nothing_to_compare_on_such_a_surface() -> None:
    made = await bound(able=(Feature.QUOTAS,))
    await made.hear(bound_tenant(3, "Enforced", quota={}))

    await believed(made)

    assert (await coverage(made, "tenancy"))["reason"]["code"] == "NoBoundaries"


@virtual
async def test_a_quota_that_is_taken_away_is_missing() -> None:
    made = await bound()

    limit(made, instances=None)
    await believed(made)

    assert (await made.only())["kind"] == "Missing"


@virtual
async def test_what_a_tenant_may_reach_beyond_its_binding_is_unmanaged_and_severe() -> None:
    made = await bound()

    boundary = made.world.sites[ENVIRONMENT].boundaries[TENANT]
    boundary.spec = replace(SPEC, may_reach=("10.1.0.0/16",))
    await believed(made)

    finding = await made.only()
    assert finding["path"] == "LocalProcess/mayReach/10.1.0.0/16"
    assert (finding["kind"], finding["severity"]) == ("Unmanaged", "High")


@virtual
async def test_a_boundary_that_is_gone_is_one_finding_and_not_one_per_property() -> None:
    made = await bound()

    made.world.sites[ENVIRONMENT].boundaries[TENANT].spec = None
    await believed(made)

    finding = await made.only()
    assert (finding["path"], finding["kind"]) == ("LocalProcess/boundary", "Missing")


@virtual
async def test_a_boundary_that_was_opened_is_found() -> None:
    made = await bound()
    opened = OtherBoundaries(made, is_closed=False)
    made.app = replace(made.app, boundaries=dict.fromkeys(made.app.boundaries, opened))

    await believed(made)

    assert (await made.only())["path"] == "LocalProcess/closed"


@pytest.mark.parametrize(
    ("path", "desired", "live"),
    [
        pytest.param(WAY_TO_PLATFORM, "open", "missing", id="the-way-to-the-platform"),
        pytest.param(GATEWAYS, "those of the settings", "others", id="the-networks-of-gateways"),
    ],
)
@virtual
async def test_a_boundary_of_earlier_settings_is_closed_and_to_be_repaired(
    path: str, desired: str, live: str
) -> None:
    made = await bound()
    lacking = OtherBoundaries(made, properties={**quota_properties(SPEC.quota), path: live})
    made.app = replace(made.app, boundaries=dict.fromkeys(made.app.boundaries, lacking))

    await believed(made)

    finding = await made.only()
    assert (finding["path"], finding["severity"]) == (f"LocalProcess/{path}", "Medium")
    assert (finding["desired"], finding["actual"]) == (desired, live)
    assert finding["remediation"]["command"] == "RepairEnvironment"


@pytest.mark.parametrize(
    "hard",
    [
        pytest.param({"limits.cpu": "2000m", "pods": "10"}, id="as-we-write-it"),
        pytest.param({"limits.cpu": "2", "pods": "10"}, id="whole-cores"),
        pytest.param({"pods": "1e1", "limits.cpu": "2.0"}, id="order-and-notation"),
    ],
)
@virtual
async def test_the_same_quota_as_a_cluster_notes_it_is_no_finding(hard: Mapping[str, str]) -> None:
    made = await bound()
    quota = {"spec": {"hard": hard}}
    live = BoundaryObjects({"metadata": {"name": "acme"}}, quota, None, None, None)
    noted = OtherBoundaries(made, properties=live.properties())
    made.app = replace(made.app, boundaries=dict.fromkeys(made.app.boundaries, noted))

    await believed(made)

    assert await made.findings() == []


@virtual
async def test_what_is_as_bound_again_resolves_its_finding() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await believed(made)

    limit(made)
    await made.scan_anew()

    assert (await made.only())["status"] == "Resolved"


@virtual
async def test_a_difference_of_one_scan_is_not_told_yet() -> None:
    made = await bound()

    limit(made, cpu=64.0)
    await made.scan_anew()
    await made.app.service.clock.sleep(OWN_WORK_S)
    limit(made)
    await made.scan_anew()
    limit(made, cpu=64.0)
    await made.scan_anew()

    assert await made.findings() == []


@virtual
async def test_a_write_of_the_platform_is_no_finding_before_its_event_comes() -> None:
    made = await bound()

    wider = replace(SPEC, quota=Quota(cpu=4.0, instances=10))
    await made.surface.ensure_boundary(wider, made.fence())
    await made.scan_anew()
    assert (await coverage(made, "tenancy"))["reason"]["code"] == "OwnWork"
    await made.hear(bound_tenant(3, "Enforced", quota={**QUOTA, "cpu": 4.0}))
    await believed(made)

    assert made.told("RuntimeDriftDetected") == []


@pytest.mark.parametrize("work", ["Bound", "Moving", "Unbinding"])
@virtual
async def test_nothing_is_told_while_a_binding_is_worked_on(work: str) -> None:
    made = await bound()

    await made.hear(bound_tenant(3, work, quota=QUOTA))
    limit(made, cpu=64.0)
    await believed(made)

    assert await made.findings() == []
    assert (await coverage(made, "tenancy"))["reason"]["code"] == "OwnWork"


@virtual
async def test_nothing_is_told_while_the_environment_is_updated_and_a_finding_stays() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await believed(made)

    await made.hear(status(3, "Updating"))
    limit(made, instances=99)
    await believed(made)

    finding = await made.only()
    assert (finding["path"], finding["status"]) == ("LocalProcess/quota/cpu", "Open")


@virtual
async def test_a_look_without_an_answer_changes_nothing_and_is_not_clean() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await believed(made)

    made.world.unreadable = "the cluster is away"
    limit(made)
    await believed(made)

    assert (await made.only())["status"] == "Open"
    seen = await coverage(made, "tenancy")
    assert (seen["complete"], seen["unknown"], seen["reason"]["code"]) == (False, 1, "Unread")


@virtual
async def test_coverage_says_that_a_surface_has_no_boundaries() -> None:
    made = await bound(able=(Feature.OWN_PROCESSES,))

    seen = await coverage(made, "tenancy")

    assert (seen["complete"], seen["reason"]["code"]) == (False, "NoBoundaries")


@virtual
async def test_a_tenant_that_is_unbound_has_no_findings_of_its_isolation() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await believed(made)

    await made.hear(bound_tenant(3, "Unbound"))
    await made.scan()

    assert (await made.only())["status"] == "Resolved"
    assert (await coverage(made, "tenancy"))["reason"]["code"] == "NotBound"


@virtual
async def test_the_findings_of_an_environment_end_with_it_and_nothing_is_due_then() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await believed(made)

    await made.hear(environment(9, gone=True))
    await made.scan()

    assert [each["status"] for each in made.told("RuntimeDriftResolved")] == ["Resolved"]
    assert await made.scan_environments() == 0


@virtual
async def test_a_proof_that_found_a_breach_has_the_environment_scanned_at_once() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await made.scan_anew()
    await made.app.service.clock.sleep(OWN_WORK_S)

    await made.hear(proof("Breach"))
    await made.scan()

    assert (await made.only())["path"] == "LocalProcess/quota/cpu"


@virtual
async def test_a_finding_of_the_environment_is_repaired_by_environments_and_not_adopted() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await believed(made)
    finding = await made.only()

    with pytest.raises(NotRepairable, match="as environments recorded it"):
        await made.decide(finding, "adopt")
    assert (await made.decide(finding, "remediate"))["status"] == "Remediating"
    (command,) = made.bench.sent.bodies("RepairEnvironment")
    assert command["payload"]["environmentId"] == ENVIRONMENT
    assert command["payload"]["findingIds"] == [finding["findingId"]]


@virtual
async def test_what_an_environment_has_is_never_repaired_unasked() -> None:
    made = await bound()
    made.app = replace(made.app, remediation=RemediationPolicy.AUTO)

    limit(made, cpu=64.0)
    await believed(made)

    assert (await made.only())["status"] == "Open"
    assert made.bench.sent.bodies("RepairEnvironment") == []


@virtual
async def test_a_setting_that_says_never_holds_for_the_environment_too() -> None:
    made = await bound()
    made.app = replace(made.app, remediation=RemediationPolicy.NEVER)
    limit(made, cpu=64.0)
    await believed(made)

    with pytest.raises(NotRepairable, match="the setting says never"):
        await made.decide(await made.only(), "remediate")
