"""The whole story fails with a reason wherever it differs from what it promises."""

import ast
from collections.abc import Mapping
from typing import Any

import pytest

from cli.demo import whole_report
from cli.demo.load_process import LoadTotals, RequestRecord, totals_of
from cli.demo.outside_changes import split_in_halves
from cli.demo.promises import (
    OutsideChange,
    Promises,
    Unit,
    departing_parts,
    story_failures,
    unexplained,
    unit_of,
)
from cli.demo.sandbox import Sandbox
from cli.state_folder import REPOSITORY
from local_agent.envoy_config import ComponentRoute, RevisionRoute, cluster_name, host_name, routes
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.spec import SurfaceComponent
from tests.kit.virtual_time import EPOCH

SERVED = RequestRecord(EPOCH, 10.0, 200, "1.0", "", 0.5)
FAILED = RequestRecord(EPOCH, 1.0, 503, "", "status 503", 0.5)
KEPT = ("scaling follows the load", "1 → 2")
ENVIRONMENT = EnvironmentId("env-2ktmjd53giaa")
EDITED = OutsideChange(ENVIRONMENT, "workload", "instances")


def _promises(*, is_kept: bool) -> Promises:
    promises = Promises()
    promises.check(*KEPT, is_kept=is_kept)
    return promises


def _finding(**changes: str) -> Mapping[str, Any]:
    return {"environmentId": ENVIRONMENT, "plane": "workload", "path": "instances", **changes}


@pytest.mark.parametrize(
    ("promises", "totals", "said"),
    [
        pytest.param(_promises(is_kept=True), totals_of([SERVED]), None, id="all-as-promised"),
        pytest.param(
            _promises(is_kept=False),
            totals_of([SERVED]),
            "not so: scaling follows the load (1 → 2)",
            id="a-promise-is-broken",
        ),
        pytest.param(
            _promises(is_kept=True),
            totals_of([SERVED, FAILED]),
            "1 of 2 requests of the client failed",
            id="a-request-failed",
        ),
        pytest.param(
            _promises(is_kept=True),
            totals_of([]),
            "no request of the client was served",
            id="nothing-was-asked",
        ),
        pytest.param(
            Promises(), totals_of([SERVED]), "nothing was looked at", id="nothing-was-looked-at"
        ),
    ],
)
def test_the_story_passes_only_with_every_promise_kept_and_every_request_served(
    promises: Promises,
    totals: LoadTotals,
    said: str | None,
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = story_failures(promises, {"the client": totals})

    has_passed = whole_report.print_verdict(Sandbox(tmp_path, 0), failures, len(totals.failures))

    assert has_passed is (said is None)
    assert failures == ([] if said is None else [said])
    printed = capsys.readouterr().out
    assert f"requests failed: {len(totals.failures)}" in printed
    assert (said or "the story passed") in printed


@pytest.mark.parametrize(
    "other",
    [{"environmentId": "env-another"}, {"plane": "routing"}, {"path": "version"}],
    ids=["another-environment", "another-plane", "another-property"],
)
def test_a_finding_that_nobody_caused_is_work_of_the_platform_taken_for_drift(
    other: Mapping[str, str],
) -> None:
    ours, theirs = _finding(), _finding(**other)

    assert unexplained([ours, theirs], [EDITED]) == [theirs]


def _deployment(**changes: Any) -> Mapping[str, Any]:
    component = {
        "releaseRevision": 2,
        "version": "1.0",
        "digest": "sha256:a",
        "replicas": 1,
        "configuration": {"hash": "sha256:c"},
        "secretVersions": {"key": "v1"},
        "scalingPolicyRevision": 1,
        **changes,
    }
    return {"releaseUnit": {"components": [component]}}


def test_a_unit_without_configuration_has_an_empty_hash() -> None:
    assert unit_of(_deployment(configuration={"hash": None})).configuration == ""


@pytest.mark.parametrize(
    ("proved", "parts"),
    [
        pytest.param({}, [], id="as-recorded"),
        pytest.param({"digest": "sha256:b"}, ["image"], id="another-image"),
        pytest.param({"configurationHash": None}, ["configuration"], id="no-configuration"),
        pytest.param({"secretVersions": {"key": "v2"}}, ["secret versions"], id="another-secret"),
        pytest.param({"releaseRevision": 3}, ["release revision"], id="another-revision"),
    ],
)
def test_an_instance_departs_in_each_part_that_is_not_as_recorded(
    proved: Mapping[str, Any], parts: list[str]
) -> None:
    unit: Unit = unit_of(_deployment())
    instance = {
        "releaseRevision": 2,
        "digest": "sha256:a",
        "configurationHash": "sha256:c",
        "secretVersions": {"key": "v1"},
        **proved,
    }

    assert departing_parts(instance, unit) == parts


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        pytest.param({"releaseRevision": 3}, (False, False, False), id="only-its-number"),
        pytest.param({"digest": "sha256:b"}, (True, False, False), id="image"),
        pytest.param({"configuration": {"hash": None}}, (False, True, False), id="configuration"),
        pytest.param({"secretVersions": {}}, (False, False, True), id="secrets"),
    ],
)
def test_units_differ_by_what_runs_and_not_by_their_number(
    changes: Mapping[str, Any], differing: tuple[bool, bool, bool]
) -> None:
    assert unit_of(_deployment(**changes)).differs_from(unit_of(_deployment())) == differing


def test_every_promise_is_computed_from_what_was_seen() -> None:
    """What the step before it forces is a step and no promise."""
    verdicts = {
        f"{path.name}:{call.lineno}": ast.unparse(word.value)
        for path in (REPOSITORY / "cli" / "demo").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "is_kept"
    }

    assert verdicts
    assert {where for where, verdict in verdicts.items() if verdict == "True"} == set()


def _route(tenant: str, prefix: str | None) -> ComponentRoute:
    component = SurfaceComponent(ENVIRONMENT, TenantId(tenant), "module-web")
    return ComponentRoute(component, prefix, {1: 100}, (RevisionRoute(1, {20001: True}),))


def test_turned_traffic_goes_in_halves_wherever_the_owners_went_and_nowhere_else() -> None:
    owners, guests = _route("owner", "/"), _route("guest", None)
    before = routes([owners, guests])

    after = split_in_halves(before, host_name(owners.component), host_name(guests.component))

    clusters = [cluster_name(each.component.service, 1) for each in (owners, guests)]
    turned = {
        tuple((entry["name"], entry["weight"]) for entry in split)
        for host in after["resources"][0]["virtual_hosts"]
        for route in host["routes"]
        if "route" in route
        for split in [route["route"]["weighted_clusters"]["clusters"]]
    }
    assert turned == {((clusters[0], 50), (clusters[1], 50)), ((clusters[1], 100),)}
    assert after["version_info"] != before["version_info"]
