"""The scan of an environment: who is at work, what is absent, and what is due after it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.drift.model.environment_scan import (
    DEPLOYMENTS_KEPT,
    UNENDED_KEPT,
    AdoptedValue,
    DeploymentWork,
    EnvironmentScan,
    PartRecord,
    ScanResult,
    are_too_many_absent,
    is_own_fence,
    make_due,
    on_deployment_event,
    on_environment_event,
    order_scan,
    record_scan,
)
from function_apps.drift.model.rolled_back import (
    CompletedRelease,
    RolledBackRelease,
)
from function_apps.drift.repository import SCANS
from shared.contracts.drift import DriftDefaults, Plane
from shared.kernel.clock import isoformat
from tests.drift.compared import failed, requested, step
from tests.kit.told import ENVIRONMENT, WEB, deployment_of, ended, environment, released
from tests.kit.virtual_time import EPOCH

NOW: Final = EPOCH + timedelta(days=1)
RULES: Final = DriftDefaults(absent_min=3, absent_ratio_max=0.1)


def at(minutes: float) -> str:
    """Return the moment so many minutes after now."""
    return isoformat(NOW + timedelta(minutes=minutes))


def work(minutes: float, *, modules: tuple[str, ...] = (WEB,), **changes: Any) -> DeploymentWork:
    """Return a deployment that was at its newest step then."""
    given = {"is_on": True, "at": at(minutes), "stepped_at": at(minutes), **changes}
    return DeploymentWork(3, modules, **given)


def scan(**changes: Any) -> EnvironmentScan:
    return EnvironmentScan(ENVIRONMENT, 3, due_at=at(-1), **changes)


@pytest.mark.parametrize(
    ("gone", "ended_at"),
    [pytest.param(False, None, id="there"), pytest.param(True, at(0), id="gone")],
)
def test_news_of_an_environment_make_it_due_and_say_whether_it_has_ended(
    *, gone: bool, ended_at: str | None
) -> None:
    known = scan(absent=("svc-1",), ended_at=at(-9))

    heard = on_environment_event(known, environment(4, gone=gone, generation=2), NOW)

    assert on_environment_event(known, environment(3, gone=gone), NOW) is None
    assert heard is not None
    assert (heard.revision, heard.generation, heard.stage) == (4, 2, "test")
    assert (heard.due_at, heard.ended_at, heard.absent) == (at(0), ended_at, ("svc-1",))


STARTED: Final = {"from_start": True}


@pytest.mark.parametrize(
    ("deployments", "found"),
    [
        pytest.param({"dep-1": work(-5)}, "dep-1", id="a-step-of-late"),
        pytest.param({"dep-1": work(-60)}, "dep-1", id="as-long-ago-as-it-may-be"),
        pytest.param({"dep-1": work(-61)}, None, id="a-silent-one-whose-request-was-not-heard"),
        pytest.param({"dep-1": work(-999, **STARTED)}, "dep-1", id="a-silent-one-that-is-new"),
        pytest.param({"dep-1": work(-5, is_on=False)}, None, id="one-that-has-ended"),
        pytest.param({"dep-1": work(-5, modules=("module-other",))}, None, id="of-another-module"),
        pytest.param({"dep-1": work(-999, **STARTED), "dep-2": work(-99, is_on=False)}, None,
                     id="another-began-later-so-its-end-was-lost"),
        pytest.param({"dep-1": work(-99, **STARTED), "dep-2": work(-999, is_on=False)}, "dep-1",
                     id="another-began-before"),
        pytest.param({}, None, id="none"),
    ],
)  # fmt: skip
def test_a_deployment_is_at_work_until_its_end_or_until_another_began(
    deployments: dict[str, DeploymentWork], found: str | None
) -> None:
    since = NOW - timedelta(minutes=60)

    assert scan(deployments=deployments).work_on(WEB, since) == found


def test_of_those_that_failed_since_the_release_the_newest_is_named() -> None:
    failed = {"has_failed": True, "is_on": False}
    known = scan(
        deployments={
            "dep-1": work(-9, **failed), "dep-2": work(-5, **failed), "dep-3": work(-1),
            "dep-4": work(-2, modules=("module-other",), **failed),
        }
    )  # fmt: skip

    assert known.failed_since(WEB, at(-20)) == "dep-2"
    assert known.failed_since(WEB, at(-5)) is None
    assert known.failed_since("module-none", at(-20)) is None


@pytest.mark.parametrize(
    ("completed", "is_over"),
    [
        pytest.param(CompletedRelease("1.0", "d", at(1)), True, id="deployed-later"),
        pytest.param(CompletedRelease("1.0", "d", at(0)), False, id="at-the-same-moment"),
        pytest.param(CompletedRelease("1.1", "d", at(1)), False, id="another-version"),
        pytest.param(CompletedRelease("1.0", "e", at(1)), False, id="another-build-of-it"),
    ],
)
def test_a_hold_ends_with_a_later_deployment_of_the_same(
    completed: CompletedRelease, *, is_over: bool
) -> None:
    assert completed.ends(RolledBackRelease("1.0", "d", at(0))) is is_over


@pytest.mark.parametrize(
    ("absent", "total", "known", "is_mass"),
    [
        pytest.param("abc", 29, {}, True, id="three-that-are-more-than-a-tenth"),
        pytest.param("abc", 30, {}, False, id="a-tenth"),
        pytest.param("ab", 2, {}, False, id="two-are-never-many"),
        pytest.param("abcd", 10, {"absent": ("a", "b")}, False, id="two-of-them-are-not-new"),
        pytest.param("abcd", 10, {"absent": ("a", "b"), "is_mass_absence": True}, True,
                     id="once-it-is-one-all-of-them-count"),
        pytest.param("abc", 10, {"confirmed": True}, False, id="somebody-says-so"),
    ],
)  # fmt: skip
def test_many_that_are_newly_absent_take_somebodys_word(
    absent: str, total: int, known: dict[str, Any], *, is_mass: bool
) -> None:
    assert are_too_many_absent(scan(**known), [*absent], total, RULES) is is_mass


@pytest.mark.parametrize(
    ("moved_at", "is_own"),
    [
        pytest.param(None, False, id="never"),
        pytest.param(at(-1.9), True, id="of-late"),
        pytest.param(at(-2), False, id="long-enough-ago"),
    ],
)
def test_a_fence_that_moved_of_late_is_own_work(moved_at: str | None, *, is_own: bool) -> None:
    assert is_own_fence(moved_at, NOW, timedelta(minutes=2)) is is_own


@pytest.mark.parametrize(
    ("known", "is_news"),
    [
        pytest.param({"due_at": at(1)}, True, id="later"),
        pytest.param({"due_at": at(0)}, False, id="due-already"),
        pytest.param({"due_at": at(1), "ended_at": at(-9)}, False, id="its-environment-has-ended"),
    ],
)
def test_a_scan_is_due_at_once_where_it_is_not_already(
    known: dict[str, Any], *, is_news: bool
) -> None:
    before = replace(scan(), **known)

    assert make_due(before, NOW) == (replace(before, due_at=at(0)) if is_news else None)


@pytest.mark.parametrize(
    ("was", "confirmed", "is_confirmed"),
    [
        pytest.param(False, True, True, id="said-now"),
        pytest.param(True, False, True, id="said-before"),
        pytest.param(False, False, False, id="not-said"),
    ],
)
def test_an_ordered_scan_is_due_at_once_and_forgets_no_word_for_an_absence(
    *, was: bool, confirmed: bool, is_confirmed: bool
) -> None:
    before = scan(confirmed=was)

    ordered = order_scan(before, [Plane.ROUTING], NOW, confirmed=confirmed)

    assert ordered == replace(before, due_at=at(0), planes=(Plane.ROUTING,), confirmed=is_confirmed)


EVERY: Final = timedelta(minutes=5)
PARTS: Final = {Plane.TENANCY: {"AKS": PartRecord(1)}}
RESULT: Final = ScanResult((), ("svc-1",), is_mass_absence=True, parts=PARTS)


def test_a_scan_leaves_what_it_found_and_ends_its_order() -> None:
    made = scan(planes=(Plane.TENANCY,), confirmed=True)

    after = record_scan(made, made, RESULT, NOW, EVERY)

    left = scan(parts=PARTS, scanned_at=at(0), absent=("svc-1",), is_mass_absence=True)
    assert after == replace(left, due_at=at(5))


def test_a_scan_that_could_not_read_the_environment_leaves_its_order_and_what_was_absent() -> None:
    made = scan(planes=(Plane.TENANCY,), confirmed=True, absent=("svc-9",))

    after = record_scan(made, made, replace(RESULT, absent=None), NOW, EVERY)

    assert after == replace(made, due_at=at(5), parts=PARTS)


@pytest.mark.parametrize(
    "ordered",
    [
        pytest.param({"due_at": at(-0.5)}, id="at-once"),
        pytest.param({"planes": (Plane.ROUTING,)}, id="of-other-planes"),
        pytest.param({"confirmed": True}, id="with-a-word-for-what-is-absent"),
    ],
)
def test_what_was_ordered_meanwhile_is_due_still(ordered: dict[str, Any]) -> None:
    made = scan()
    known = replace(made, **ordered)

    after = record_scan(known, made, RESULT, NOW, EVERY)

    assert after == replace(
        known, parts=PARTS, scanned_at=at(0), absent=("svc-1",), is_mass_absence=True
    )


def test_what_was_adopted_ends_as_the_scan_found_it_unless_it_was_adopted_anew() -> None:
    one, other = AdoptedValue("1", "2"), AdoptedValue("1", "3")
    made = scan(adopted={"a": one, "b": one, "c": one})
    known = replace(made, adopted={"a": one, "b": other, "c": one})

    after = record_scan(known, made, replace(RESULT, ended_adoptions=("a", "b")), NOW, EVERY)

    assert after.adopted == {"b": other, "c": one}


def after_a_step(deployments: dict[str, DeploymentWork]) -> EnvironmentScan:
    """Return the scans after a step of a deployment that is not among *deployments*."""
    after = on_deployment_event(scan(deployments=deployments), step(0), NOW)
    assert after is not None
    return after


def test_a_deployment_that_waits_is_known_however_many_end_meanwhile() -> None:
    ended = {f"dep-{each}": work(-each, is_on=False) for each in range(DEPLOYMENTS_KEPT + 1)}
    waits = DeploymentWork(1, (WEB,), is_on=False, at=at(-9999), from_start=True)

    after = after_a_step({**ended, "dep-waits": waits})

    assert "dep-waits" in after.deployments
    assert f"dep-{DEPLOYMENTS_KEPT}" not in after.deployments


def test_deployments_whose_ends_were_lost_are_known_within_a_bound() -> None:
    lost = {f"dep-{each}": work(-each) for each in range(1, UNENDED_KEPT + 2)}

    after = after_a_step(lost)

    assert len(after.deployments) == UNENDED_KEPT
    assert {"dep-1", deployment_of(0)} <= after.deployments.keys()


def test_documents_of_earlier_versions_say_what_was_rolled_back_and_absent() -> None:
    release = {"version": "1.0", "digest": "d", "held_at": at(0)}
    body = {"environment_id": ENVIRONMENT, "is_held": True, "held": {WEB: release}}

    stored = SCANS.decode(body)

    assert stored.is_mass_absence
    assert stored.rolled_back == {WEB: RolledBackRelease("1.0", "d", at(0))}
    assert body.keys() <= SCANS.encode(stored).keys()


def test_the_first_that_is_heard_of_an_environment_has_it_scanned() -> None:
    heard = on_deployment_event(None, step(1), NOW)

    assert heard is not None
    assert (heard.environment_id, heard.due_at) == (ENVIRONMENT, at(0))


def test_a_request_that_is_heard_late_says_that_the_whole_deployment_is_known() -> None:
    begun = on_deployment_event(None, step(1), NOW)
    assert begun is not None

    late = on_deployment_event(begun, requested(1, WEB), NOW)

    assert late is not None
    known, after = (each.deployments[deployment_of(1)] for each in (begun, late))
    assert after == replace(known, from_start=True)
    assert on_deployment_event(late, requested(1, WEB), NOW) is None


def test_an_end_leaves_the_revisions_that_are_in_force_and_whether_it_failed() -> None:
    done = ended(1, [released(WEB, 4)])

    completed, broken = (on_deployment_event(None, each, NOW) for each in (done, failed(1, WEB)))

    assert completed is not None
    assert broken is not None
    known, other = (each.deployments[deployment_of(1)] for each in (completed, broken))
    assert (known.is_on, known.has_failed) == (False, False)
    assert (other.is_on, other.has_failed) == (False, True)
    assert (known.releases, other.releases) == ({WEB: 4}, {})
