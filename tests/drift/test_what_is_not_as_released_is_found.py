"""A property that somebody changed on the surface becomes a finding, and ends when it is back."""

from dataclasses import replace

import pytest

from shared.surfaces.spec import Resources
from tests.drift.compared import HASH, component_with, released_and_settled, virtual
from tests.drift.test_what_may_be_secret_is_not_shown import is_digest
from tests.kit.told import ENVIRONMENT, WEB, component_of, ended, run


@virtual
async def test_a_service_that_is_as_released_has_no_finding_and_is_covered() -> None:
    made = await released_and_settled()

    await made.scan(300)

    report = await made.report()

    assert report["value"] == []
    covered = {each["plane"]: each["complete"] for each in report["coverage"]}
    assert [plane for plane, is_so in covered.items() if is_so] == [
        "infrastructure", "workload", "replicas", "configuration", "secrets", "routing",
    ]  # fmt: skip
    assert covered["tenancy"] is False


@virtual
async def test_a_changed_property_is_told_with_both_values_and_its_owner() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)

    finding = await made.only()
    assert (finding["plane"], finding["path"]) == ("workload", "environ/MODE")
    assert (finding["kind"], finding["desired"]) == ("Changed", "fast")
    assert is_digest(finding["actual"])
    assert (finding["status"], finding["severity"]) == ("Open", "Medium")
    assert finding["remediation"] == {
        "policy": "ask", "command": "RemediateDrift", "owner": "deployments",
    }  # fmt: skip
    assert [each["findingId"] for each in made.told("RuntimeDriftDetected")] == [
        finding["findingId"]
    ]


@virtual
async def test_a_finding_ends_when_its_property_is_back() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)
    made.tamper(environ={"MODE": "fast"})

    await made.scan(300)

    assert (await made.only())["status"] == "Resolved"
    (resolved,) = made.told("RuntimeDriftResolved")
    assert resolved["path"] == "environ/MODE"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({"environ": {"ADDED": "1"}}, ("environ/ADDED", "Unmanaged"), id="added"),
        pytest.param({"resources": Resources(cpu=2.0)}, ("resources/cpu", "Changed"), id="limit"),
        pytest.param({"resources": Resources()}, ("resources/cpu", "Missing"), id="no-limit"),
        pytest.param({"replicas": 7}, ("replicas", "Changed"), id="number"),
    ],
)
@virtual
async def test_each_kind_of_change_is_found(changes: dict, found: tuple[str, str]) -> None:
    made = await released_and_settled(resources={"cpu": 1.0})
    given = {"resources": Resources(cpu=1.0), **changes}
    made.tamper(**given)

    await made.scan(300)
    await made.scan(300)  # a number of instances is believed when two scans found it

    finding = await made.only()
    assert (finding["path"], finding["kind"]) == found


@virtual
async def test_traffic_that_goes_elsewhere_is_found_in_the_plane_of_routing() -> None:
    made = await released_and_settled()
    state = made.world.sites[ENVIRONMENT].components[component_of(WEB)]
    released = state.revisions[1]
    state.revisions[9] = replace(released, spec=replace(released.spec, revision=9, version="9.0"))
    state.weights = {1: 60, 9: 40}

    await made.scan(300)

    found = {(each["plane"], each["path"]): each["actual"] for each in await made.findings()}
    assert found[("routing", "weight")] == "60"
    assert ("workload", "revision/9") in found


@virtual
async def test_a_configuration_whose_digest_changed_is_found_after_it_was_learned() -> None:
    made = await released_and_settled(configuration={"environment": 1, "hash": HASH})
    state = made.world.sites[ENVIRONMENT].components[component_of(WEB)]
    given = state.revisions[1].spec.configuration
    assert given is not None
    made.tamper(configuration=type(given)(given.hash, given.variables, {"configuration.json": "!"}))

    await made.scan(300)

    finding = await made.only()
    assert finding["plane"] == "configuration"
    assert finding["path"] != "hash"


@virtual
async def test_a_service_that_nobody_released_is_found_and_repaired_by_nobody() -> None:
    made = await released_and_settled()
    await run(made.world, "module-mine")

    await made.scan(300)
    await made.settled()
    await made.scan(300)

    finding = await made.only()
    assert (finding["moduleId"], finding["path"]) == ("module-mine", "service")
    assert (finding["kind"], finding["risk"]) == ("Unmanaged", "Destructive")
    assert finding["remediation"]["policy"] == "never"


@virtual
async def test_the_findings_of_a_service_that_is_retired_end() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)
    made.vanish(WEB)
    await made.hear(ended(2, [], removed=[WEB], at=made.app.service.clock.now()))

    await made.scan(15)

    assert (await made.only())["status"] == "Resolved"


@virtual
async def test_a_new_release_is_compared_instead_of_the_one_before() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.release(2, environ={"MODE": "slow"})
    await made.scan()
    await made.settled()

    await made.scan(300)

    assert await made.findings() == []
    assert component_with(revision=2)["releaseRevision"] == 2


@virtual
async def test_what_differs_still_is_not_resolved_by_very_many_other_differences() -> None:
    made = await released_and_settled(environ={"Z": "fast"})
    made.tamper(environ={"Z": "slow"})
    await made.scan(300)
    made.tamper(environ={"Z": "slow", **{f"A{number:03}": "1" for number in range(250)}})

    await made.scan(300)

    assert made.told("RuntimeDriftResolved") == []
    assert len({*made.open_paths()}) == 200
    coverage = {each["plane"]: each for each in (await made.report())["coverage"]}
    assert coverage["configuration"]["reason"]["code"] == "TooManyDifferences"
    assert coverage["configuration"]["reason"]["message"].startswith("51 more")
