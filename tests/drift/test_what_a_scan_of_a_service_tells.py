"""What one look at a service tells: how a difference is worded, and which findings it ends."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.drift.model.classification import INSTANCES, REVISION
from function_apps.drift.model.live_service import LiveService
from function_apps.drift.model.service_differences import differences
from function_apps.drift.model.service_scan import judge
from shared.contracts.drift import DriftDefaults, DriftKind, FindingStatus, Plane
from shared.kernel.clock import isoformat
from tests.drift.test_what_a_baseline_takes_from_events import NOW, at, released_at
from tests.drift.test_what_a_scan_makes_of_a_finding import finding

RULES: Final = DriftDefaults(own_work=timedelta(seconds=120))
RELEASED: Final = released_at(1, 1, command=["serve"])


def test_a_revision_that_is_gone_is_told_with_its_version() -> None:
    gone = replace(RELEASED, absences=RULES.scans_to_believe_absent, absent_since=at(1))

    (found,) = differences(gone, LiveService(), NOW, RULES)

    assert (found.plane, found.change.path, found.change.kind) == (
        Plane.WORKLOAD, REVISION, DriftKind.MISSING,
    )  # fmt: skip
    assert (found.change.desired, found.change.actual) == ("1.0", None)


@pytest.mark.parametrize(
    ("count", "ending"),
    [
        pytest.param(5, "4: image", id="all-of-a-few"),
        pytest.param(6, "4: image; and 1 more", id="the-first-of-many"),
    ],
)
def test_instances_that_are_not_as_released_are_named(count: int, ending: str) -> None:
    departures = tuple(f"{number}: image" for number in range(count))
    live = LiveService({1: {}}, {1: "1.0"}, departures)

    (found,) = (
        each.change for each in differences(RELEASED, live, NOW, RULES)
        if each.change.path == INSTANCES
    )  # fmt: skip

    assert str(found.actual).startswith("0: image; 1: image; ")
    assert str(found.actual).endswith(ending)


@pytest.mark.parametrize(
    ("known", "baseline", "departures", "reason"),
    [
        pytest.param({}, {}, (), "as desired again", id="it-is-so"),
        pytest.param({}, {"retired_at": at(8)}, (), "its service was retired", id="retired"),
        pytest.param({}, {}, None, "as desired again", id="of-no-instance-that-could-not-be-asked"),
        pytest.param({"path": INSTANCES}, {}, None, None, id="of-one-that-could-not-be-asked"),
        pytest.param({}, {"absences": 1}, (), None, id="it-is-not-there-this-time"),
        pytest.param(
            {"plane": Plane.REPLICAS}, {"replicas_differ_since": isoformat(NOW)}, (), None,
            id="a-number-of-instances-that-is-not-believed-yet",
        ),
        pytest.param(
            {"plane": Plane.REPLICAS}, {"replicas_differ_since": at(1)}, (), "as desired again",
            id="one-that-is-believed",
        ),
    ],
)  # fmt: skip
def test_a_finding_whose_difference_is_not_seen_ends_where_the_look_could_see_it(
    known: dict[str, Any],
    baseline: dict[str, Any],
    departures: tuple[str, ...] | None,
    reason: str | None,
) -> None:
    live = LiveService(departures=departures)

    after = judge(finding(**known), None, replace(RELEASED, **baseline), live, NOW, RULES)

    ended = None if after is None else (after.status, after.reason)
    assert ended == (None if reason is None else (FindingStatus.RESOLVED, reason))
