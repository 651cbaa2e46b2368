"""A finding after a scan that saw its difference, or did not; and how many of them there may be."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.drift.model.alert import judge_alert, judge_alert_after
from function_apps.drift.model.classification import Circumstances, Classification, classify
from function_apps.drift.model.comparison import Change
from function_apps.drift.model.finding import (
    OPEN_MAX,
    Finding,
    begin_repair,
    blocks_repair,
    clear,
    new_finding,
    see_again,
    with_findings,
    would_destroy_unasked,
)
from shared.contracts.alerts import Alert, AlertChange, AlertState
from shared.contracts.drift import (
    DriftDefaults,
    DriftKind,
    DriftSeverity,
    FindingStatus,
    Plane,
    RepairRisk,
)
from shared.contracts.drift import RemediationPolicy as Policy
from shared.contracts.values import Stage
from shared.kernel.clock import isoformat
from tests.kit.virtual_time import EPOCH

State = FindingStatus
RULES: Final = DriftDefaults(own_work=timedelta(seconds=120), attempts_max=5, undone_max=3)
NOW: Final = EPOCH + timedelta(days=3)


def at(seconds: float) -> str:
    """Return the moment so many seconds after the scan."""
    return isoformat(NOW + timedelta(seconds=seconds))


def finding(actual: str | None = "slow", **changes: Any) -> Finding:
    """Return a finding as a scan would see it for the first time, with *changes*."""
    change = Change("environ/MODE", DriftKind.CHANGED, "fast", actual)
    made = new_finding(
        "drift-1", tenant_id="acme", environment_id="env-1", service_id="svc-1",
        module_id="module-web", project_id="proj-web", plane=Plane.WORKLOAD, change=change,
        classification=of(change), baseline_revision=1, now=NOW,
    )  # fmt: skip
    return replace(made, **changes)


def of(change: Change, policy: Policy = Policy.ASK) -> Classification:
    return classify(Plane.WORKLOAD, change, Circumstances(Stage.TEST, policy=policy))


def seen(known: Finding, as_now: Finding | None = None) -> Finding | None:
    return see_again(known, as_now or finding(), NOW, RULES)


@pytest.mark.parametrize("status", [State.OPEN, State.ACKNOWLEDGED, State.ESCALATED])
def test_the_same_difference_again_is_no_news_and_another_one_keeps_the_status(
    status: State,
) -> None:
    known = finding(status=status, actor="kubectl")

    other = seen(known, finding("slower", baseline_revision=2))

    assert seen(known) is None
    assert other == replace(known, actual="slower", actor=None, baseline_revision=2, revision=2)


@pytest.mark.parametrize(
    ("now_set", "actor"),
    [
        pytest.param({"actor": "helm"}, "helm", id="it-is-known-now"),
        pytest.param({"desired": "faster"}, "kubectl", id="the-same-value-keeps-its-author"),
        pytest.param({"actual": "slower"}, None, id="another-value-is-of-somebody-else"),
        pytest.param({"kind": DriftKind.MISSING}, None, id="and-so-is-another-kind"),
    ],
)
def test_who_set_a_value_is_kept_as_long_as_it_is_that_value(
    now_set: dict[str, Any], actor: str | None
) -> None:
    after = seen(finding(actor="kubectl"), finding(**now_set))

    assert after is not None
    assert after.actor == actor


@pytest.mark.parametrize(
    ("until", "status"),
    [
        pytest.param(at(1), None, id="it-is-let-be-still"),
        pytest.param(at(0), State.OPEN, id="at-its-end"),
        pytest.param(None, State.OPEN, id="without-an-end"),
    ],
)
def test_a_suppressed_difference_opens_again_from_the_end_of_its_time_on(
    until: str | None, status: State | None
) -> None:
    after = seen(finding(status=State.SUPPRESSED, suppressed_until=until))

    assert (after.status if after else None) is status


@pytest.mark.parametrize("status", [State.RESOLVED, State.ADOPTED])
def test_what_comes_back_begins_anew_and_is_counted(status: State) -> None:
    known = finding(
        status=status, revision=4, detected_at=at(-900), resolved_at=at(-600), attempts=3,
        next_attempt_at=at(600), suppressed_until=at(-600), reason="as desired again",
        undone_at=(at(-86_401), at(-3600)),
    )  # fmt: skip

    assert seen(known) == replace(
        finding(), status=State.OPEN, revision=5, occurrences=2, undone_at=(at(-3600),)
    )


@pytest.mark.parametrize(
    ("undone", "known", "status"),
    [
        pytest.param([-3600, -1800], {}, State.ESCALATED, id="for-the-third-time-in-a-day"),
        pytest.param([-1800], {}, State.OPEN, id="for-the-second-time"),
        pytest.param([-86_400, -1800], {}, State.OPEN, id="the-first-a-day-ago"),
        pytest.param([-3600, -1800, -900], {"is_repaired": False}, State.OPEN,
                     id="somebody-else-had-put-it-right"),
        pytest.param([-3600, -1800, -900], {"status": State.ADOPTED}, State.OPEN,
                     id="it-was-adopted-since"),
    ],
)  # fmt: skip
def test_a_repair_that_is_undone_again_and_again_is_given_up(
    undone: list[float], known: Mapping[str, Any], status: State
) -> None:
    given = {"status": State.RESOLVED, "is_repaired": True, **known}

    after = seen(finding(undone_at=tuple(map(at, undone)), **given))

    assert after is not None
    assert after.status is status


@pytest.mark.parametrize(
    ("attempts", "pause_s"),
    [
        pytest.param(0, 120, id="the-first"),
        pytest.param(1, 240, id="twice-as-long-after-one"),
        pytest.param(3, 960, id="and-so-on"),
        pytest.param(5, 3600, id="an-hour-at-most"),
        pytest.param(5000, 3600, id="however-often"),
    ],
)
def test_a_repair_has_ever_more_time_to_show_its_effect(attempts: int, pause_s: float) -> None:
    began = begin_repair(finding(attempts=attempts), "by a person", NOW, RULES)

    assert (began.status, began.reason) == (State.REMEDIATING, "by a person")
    assert (began.effect_due_at, began.revision) == (at(pause_s), 2)


@pytest.mark.parametrize(
    ("attempts", "due_at", "expected"),
    [
        pytest.param(0, at(1), None, id="it-has-time-left"),
        pytest.param(0, at(0), (State.OPEN, 1, at(240)), id="its-time-is-over"),
        pytest.param(3, at(-60), (State.OPEN, 4, at(1920)), id="the-fourth"),
        pytest.param(4, at(-60), (State.ESCALATED, 5, None), id="the-fifth-is-the-last"),
        pytest.param(0, None, (State.OPEN, 1, at(240)), id="of-an-earlier-version"),
    ],
)
def test_a_repair_without_effect_is_tried_again_later_and_given_up_after_the_fifth(
    attempts: int, due_at: str | None, expected: Any
) -> None:
    after = seen(finding(status=State.REMEDIATING, attempts=attempts, effect_due_at=due_at))

    found = (after.status, after.attempts, after.next_attempt_at) if after else None
    assert found == expected
    assert after is None or after.effect_due_at is None


@pytest.mark.parametrize(
    ("status", "ends_adoption", "is_repaired"),
    [
        pytest.param(State.OPEN, False, False, id="open"),
        pytest.param(State.REMEDIATING, False, True, id="by-its-repair"),
        pytest.param(State.SUPPRESSED, False, False, id="suppressed"),
        pytest.param(State.ADOPTED, True, False, id="adopted-by-a-new-release"),
    ],
)
def test_what_is_as_desired_again_is_resolved_and_waits_for_nothing(
    status: State, *, ends_adoption: bool, is_repaired: bool
) -> None:
    known = finding(
        status=status, effect_due_at=at(9), next_attempt_at=at(9), suppressed_until=at(9),
        reason="known", attempts=2, undone_at=(at(-9),), is_repaired=not is_repaired,
    )  # fmt: skip

    after = clear(known, "as desired again", NOW, ends_adoption=ends_adoption)

    assert after == replace(
        finding(), status=State.RESOLVED, reason="as desired again", resolved_at=at(0),
        is_repaired=is_repaired, attempts=2, undone_at=(at(-9),), revision=2,
    )  # fmt: skip


def test_what_is_resolved_or_adopted_is_as_desired_already() -> None:
    assert clear(finding(status=State.RESOLVED), "", NOW, ends_adoption=True) is None
    assert clear(finding(status=State.ADOPTED), "", NOW, ends_adoption=False) is None


@pytest.mark.parametrize(
    ("changes", "policy", "is_due"),
    [
        pytest.param({}, Policy.AUTO, True, id="open"),
        pytest.param({"next_attempt_at": at(0)}, Policy.AUTO, True, id="its-pause-is-over"),
        pytest.param({"next_attempt_at": at(1)}, Policy.AUTO, False, id="its-pause-is-not"),
        pytest.param({"status": State.ACKNOWLEDGED}, Policy.AUTO, False, id="somebody-knows"),
        pytest.param({}, Policy.ASK, False, id="somebody-is-to-ask"),
    ],
)
def test_only_what_is_open_due_and_allowed_is_repaired_unasked(
    changes: dict[str, Any], policy: Policy, *, is_due: bool
) -> None:
    remediation = of(Change("environ/A", DriftKind.CHANGED, "1", "2"), policy).remediation

    assert finding(remediation=remediation, **changes).may_be_repaired(NOW) is is_due


@pytest.mark.parametrize(
    ("changes", "is_blocked"),
    [
        pytest.param({"suppressed_until": at(1)}, True, id="let-be"),
        pytest.param({"suppressed_until": at(0)}, False, id="its-time-is-over"),
        pytest.param({"suppressed_until": None}, False, id="without-an-end"),
        pytest.param({"suppressed_until": at(1), "status": State.OPEN}, False, id="open"),
        pytest.param({"suppressed_until": at(1), "path": "git/version"}, False,
                     id="what-git-says-is-not-written"),
    ],
)  # fmt: skip
def test_what_is_let_be_blocks_the_repairs_that_would_write_it(
    changes: dict[str, Any], *, is_blocked: bool
) -> None:
    assert blocks_repair(finding(**{"status": State.SUPPRESSED, **changes}), NOW) is is_blocked


SAFE, LOST = RepairRisk.SAFE, RepairRisk.DESTRUCTIVE


def around(risk: RepairRisk, **changes: Any) -> Finding:
    """Return a finding of the environment itself, which is repaired as a whole."""
    change = Change("LocalProcess/quota", DriftKind.CHANGED, "1", "2")
    classified = classify(Plane.TENANCY, change, Circumstances(Stage.TEST))
    given = {"service_id": None, "remediation": classified.remediation, "risk": risk, **changes}
    return finding(**given)


@pytest.mark.parametrize(
    ("asked", "other", "is_refused"),
    [
        pytest.param(around(SAFE), around(LOST), True, id="the-other-would-be-lost-too"),
        pytest.param(around(LOST), around(LOST), False, id="it-was-asked-for"),
        pytest.param(around(SAFE), around(SAFE), False, id="nothing-is-lost"),
        pytest.param(around(SAFE), finding(risk=LOST), False, id="another-owner-repairs-it"),
        pytest.param(finding(), finding(risk=LOST), False, id="one-service-is-repaired"),
    ],
)
def test_the_repair_of_an_environment_destroys_nothing_that_nobody_asked_for(
    asked: Finding, other: Finding, *, is_refused: bool
) -> None:
    assert would_destroy_unasked(asked, other) is is_refused


NAMES: Final = tuple(f"drift-{number:03}" for number in range(OPEN_MAX + 5))


def known(status: State, count: int) -> dict[str, Finding]:
    return {name: finding(status=status) for name in NAMES[:count]}


@pytest.mark.parametrize(
    ("before", "told"),
    [
        pytest.param({}, NAMES[:OPEN_MAX], id="the-first-ones"),
        pytest.param(known(State.OPEN, OPEN_MAX), NAMES[:OPEN_MAX], id="no-room-beside-the-open"),
        pytest.param(known(State.ESCALATED, OPEN_MAX + 1), NAMES[: OPEN_MAX + 1],
                     id="those-that-are-there-stay"),
        pytest.param(known(State.OPEN, OPEN_MAX - 1), NAMES[:OPEN_MAX], id="room-for-one"),
        pytest.param(known(State.ACKNOWLEDGED, 3), NAMES[: OPEN_MAX + 3],
                     id="what-somebody-decided-takes-no-room"),
        pytest.param({"drift-x": finding()}, NAMES[: OPEN_MAX - 1],
                     id="what-is-not-there-any-more-takes-room-but-is-not-told"),
    ],
)  # fmt: skip
def test_of_many_differences_those_that_are_known_and_the_first_others_are_told(
    before: dict[str, Finding], told: tuple[str, ...]
) -> None:
    assert {*with_findings(NAMES, before)} == {*told}


SEVERE: Final = finding(severity=DriftSeverity.HIGH)
RAISED: Final = AlertState(3, at(-60))
ENDED: Final = AlertChange(Alert.SEVERE_DRIFT, at(-60), cleared_at=isoformat(NOW))


def test_a_severe_finding_raises_the_alert_with_what_it_is() -> None:
    raised = judge_alert(AlertState(), [finding(severity=DriftSeverity.LOW), SEVERE], NOW)

    evidence = f"workload/environ/MODE is High and Open since {isoformat(NOW)}"
    assert raised == AlertChange(Alert.SEVERE_DRIFT, isoformat(NOW), (evidence,))


@pytest.mark.parametrize(("known", "active"), [(RAISED, [SEVERE]), (AlertState(2), [])])
def test_an_alert_that_does_not_change_is_no_news(known: AlertState, active: list[Finding]) -> None:
    assert judge_alert(known, active, NOW) is None


def test_the_end_of_a_severe_finding_ends_the_alert() -> None:
    acknowledged = replace(SEVERE, status=State.ACKNOWLEDGED)

    assert judge_alert(RAISED, [acknowledged], NOW) == ENDED


def test_a_decision_about_a_severe_finding_ends_the_alert_at_once() -> None:
    adopted = replace(SEVERE, status=State.ADOPTED)

    assert judge_alert_after(RAISED, adopted, [SEVERE], NOW) == ENDED
