"""`drift` lists what differs with what was not looked at, and sends what somebody decides."""

from collections.abc import Mapping
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.cli.small_platform import (
    ENVIRONMENT,
    NOON,
    RUNTIME,
    SERVICE,
    Ran,
    RuntimeCtl,
    answer_of,
)
from tests.cli.small_server import Asked, serving

pytestmark = pytest.mark.real
FINDING = "df-w5ekllr23tyb-abcdefghij-abcdefghijkl"
THE_FINDING: Mapping[str, Any] = {
    "findingId": FINDING, "environmentId": ENVIRONMENT, "serviceId": SERVICE,
    "moduleId": "module-shop", "plane": "workload", "path": "environ/MODE", "kind": "Changed",
    "desired": "fast", "actual": "slow " * 20, "severity": "Medium", "risk": "Disruptive",
    "cause": "changed outside", "actor": "kubectl-edit", "status": "Open", "attempts": 0,
    "occurrences": 1, "detectedAt": NOON, "resolvedAt": None, "suppressedUntil": None,
    "nextAttemptAt": None, "reason": "",
}  # fmt: skip
UNREAD = {"code": "OwnWork", "message": "dep-1 is changing it"}
THE_REPORT: Mapping[str, Any] = {
    "environmentId": ENVIRONMENT, "scannedAt": NOON, "absentHeld": True, "nextLink": None,
    "coverage": [
        {"plane": "workload", "complete": True, "seen": 3, "unknown": 0, "reason": None},
        {"plane": "routing", "complete": False, "seen": 2, "unknown": 1, "reason": UNREAD},
    ],
    "git": {
        "sourceId": "gs-1", "commit": "0123456789abcdef", "syncedAt": NOON, "staleSince": NOON,
        "modules": 3, "reasons": [{"code": "Unreachable", "message": "no answer"}],
    },
    "value": [THE_FINDING],
}  # fmt: skip
ANSWERS: Mapping[str, Any] = {
    f"GET {RUNTIME}/drift/{ENVIRONMENT}": THE_REPORT,
    f"POST {RUNTIME}/drift/{ENVIRONMENT}/scan": {**THE_REPORT, "scannedAt": None},
    f"GET {RUNTIME}/drift-findings/{FINDING}": THE_FINDING,
    **{
        f"POST {RUNTIME}/drift-findings/{FINDING}/{verb}": THE_FINDING
        for verb in ("acknowledge", "suppress", "adopt", "remediate")
    },
}


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def test_a_list_names_what_differs_and_what_was_not_looked_at(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("drift list --env test", ANSWERS)

    assert ran.code == ExitCode.OK, ran.err
    assert "workload/environ/MODE" in ran.out
    assert "routing: dep-1 is changing it (OwnWork)" in ran.err
    assert "workload:" not in ran.err
    assert "--confirm-absent" in ran.err
    assert f"git: 0123456789ab, 3 modules, read {NOON}, stale since {NOON}" in ran.err
    assert "git: no answer (Unreachable)" in ran.err


def test_git_that_was_never_read_and_one_module_are_told_in_whole_words(
    runtimectl: RuntimeCtl,
) -> None:
    git = {**THE_REPORT["git"], "commit": None, "syncedAt": None, "staleSince": None, "modules": 1}
    path = f"GET {RUNTIME}/drift/{ENVIRONMENT}"

    ran = runtimectl.run("drift list --env test", {**ANSWERS, path: {**THE_REPORT, "git": git}})

    assert "git: no commit yet, 1 module, read never" in ran.err


def test_git_that_was_read_after_the_last_scan_is_not_compared_yet(runtimectl: RuntimeCtl) -> None:
    later = NOON.replace("T12", "T13")
    report = {**THE_REPORT, "git": {**THE_REPORT["git"], "syncedAt": later}, "value": []}

    ran = runtimectl.run(
        "drift list --env test", {**ANSWERS, f"GET {RUNTIME}/drift/{ENVIRONMENT}": report}
    )

    assert "nothing differs in what was compared" in ran.out + ran.err
    assert "git: it was read after the last scan; the next one compares it" in ran.err


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"coverage": []}, id="a-manifest-was-not-read"),
        pytest.param({"git": None}, id="a-plane-was-not-looked-at"),
    ],
)
def test_what_was_not_compared_is_not_said_to_be_as_it_should(
    changes: Mapping[str, Any], runtimectl: RuntimeCtl
) -> None:
    report = {**THE_REPORT, **changes, "value": []}

    ran = runtimectl.run(
        "drift list --env test", {**ANSWERS, f"GET {RUNTIME}/drift/{ENVIRONMENT}": report}
    )

    assert "nothing differs in what was compared" in ran.out


def test_a_finding_shows_both_values_beside_each_other(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(f"drift show {FINDING}", ANSWERS)

    lines = [line.split() for line in ran.out.splitlines()]
    assert ["DESIRED", "ACTUAL"] in lines
    assert lines[lines.index(["DESIRED", "ACTUAL"]) + 1][:2] == ["fast", "slow"]


def test_a_finding_names_who_changed_it_and_one_of_an_environment_no_module(
    runtimectl: RuntimeCtl,
) -> None:
    of_environment = {**THE_FINDING, "moduleId": None, "serviceId": None}
    answers = {**ANSWERS, f"GET {RUNTIME}/drift-findings/{FINDING}": of_environment}

    ran = runtimectl.run(f"drift show {FINDING}", answers)

    assert ran.out.startswith("(environment)  workload/environ/MODE")
    assert "kubectl-edit" in ran.out


@pytest.mark.parametrize(
    ("line", "path", "body"),
    [
        pytest.param("scan --env test --confirm-absent", f"drift/{ENVIRONMENT}/scan",
                     {"confirmAbsent": True}, id="scan"),
        pytest.param(f"acknowledge {FINDING} --reason known",
                     f"drift-findings/{FINDING}/acknowledge", {"reason": "known"},
                     id="acknowledge"),
        pytest.param(f"suppress {FINDING} --for P7D", f"drift-findings/{FINDING}/suppress",
                     {"length": "P7D", "reason": ""}, id="suppress"),
        pytest.param(f"adopt {FINDING}", f"drift-findings/{FINDING}/adopt", {"reason": ""},
                     id="adopt"),
        pytest.param(f"remediate {FINDING}", f"drift-findings/{FINDING}/remediate",
                     {"reason": ""}, id="remediate"),
    ],
)  # fmt: skip
def test_a_decision_is_sent_as_it_was_told(
    line: str, path: str, body: Any, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"drift {line}", ANSWERS)

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"POST {RUNTIME}/{path}", body)


def test_a_reason_that_was_not_kept_is_named_beside_the_one_that_was(
    runtimectl: RuntimeCtl,
) -> None:
    path = f"POST {RUNTIME}/drift-findings/{FINDING}/remediate"
    under_way = {**THE_FINDING, "status": "Remediating", "reason": "it is wrong"}

    ran = runtimectl.run(f"drift remediate {FINDING} --reason odd", {**ANSWERS, path: under_way})

    assert "it was Remediating already: the reason is not kept" in ran.err
    assert "its reason stays 'it is wrong'" in ran.err


def test_a_row_has_the_beginning_of_what_is_long_and_the_time(runtimectl: RuntimeCtl) -> None:
    digest = "sha256:" + "ab" * 32
    found = {**THE_FINDING, "actual": f"files {digest}, {digest} and {digest}"}
    answers = {**ANSWERS, f"GET {RUNTIME}/drift/{ENVIRONMENT}": {**THE_REPORT, "value": [found]}}

    ran = runtimectl.run("drift list --env test", answers)

    assert "files sha256:abababababab…" in ran.out
    assert "12:00:00" in ran.out
    assert max(map(len, ran.out.splitlines())) < 220


def test_a_repair_names_what_shows_how_it_goes(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(f"drift remediate {FINDING}", ANSWERS)

    assert f"next:  runtimectl drift remediate {FINDING} --wait" in ran.err


def repaired(runtimectl: RuntimeCtl, status: str, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Run a repair that is waited for while the finding is Remediating, and then *status*."""
    monkeypatch.setattr("cli.watch_resource._POLL_INTERVAL_S", 0.01)
    under_way = {**THE_FINDING, "status": "Remediating"}
    ended = {**THE_FINDING, "status": status, "attempts": 1}
    looks = iter([under_way])

    def answer(asked: Asked) -> tuple[int, Any]:
        path = f"{RUNTIME}/drift-findings/{FINDING}"
        if asked.method == "POST":
            return 202, under_way
        return (200, next(looks, ended)) if asked.path == path else answer_of(asked)

    with serving(answer, keeps_connections=False) as server:
        return runtimectl.run_at(server, f"drift remediate {FINDING} --wait")


def test_a_repair_is_waited_for_until_a_scan_finds_what_is_desired(
    runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = repaired(runtimectl, "Resolved", monkeypatch)

    assert ran.code == ExitCode.OK, ran.err
    assert "✓ Resolved" in ran.out


@pytest.mark.parametrize("status", ["Open", "Escalated"])
def test_a_repair_without_effect_ends_the_wait_as_one_that_failed(
    status: str, runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = repaired(runtimectl, status, monkeypatch)

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert f"{FINDING} is {status} after 1 attempt, and differs still" in ran.err
    assert f"runtimectl drift show {FINDING}" in ran.err
