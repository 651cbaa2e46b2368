"""`explain` has the page of each code; `audit` shows who did what, and if records are whole."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from cli.error_pages import codes_of_fields, error_rows
from cli.exit_codes import ExitCode
from cli.main import main
from shared.contracts.alerts import Alert
from shared.kernel.ids import APPS
from tests.cli.small_platform import DEPLOYMENT, NOON, RuntimeCtl

CODES = sorted({row.code for row in error_rows()} | {*codes_of_fields()})[::40]
RECORD: dict[str, Any] = {
    "number": 4, "actor": "user:ann", "action": "Deploy", "target": DEPLOYMENT, "at": NOON,
    "outcome": "Accepted", "reason": "request r-1: a fix", "hash": "b", "previousHash": "a",
}  # fmt: skip
LATER = {**RECORD, "number": 2, "actor": "user:bob", "at": "2026-11-28T13:00:00.000000Z"}
RECORDS = {
    "GET /v1/platform/deployments/audit": [RECORD],
    "GET /v1/platform/environments/audit": [LATER],
}


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_explained_without_a_system(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", code, "-o", "json"]) == ExitCode.OK

    said = json.loads(capsys.readouterr().out)
    assert said["code"] == code
    assert said["meaning"].endswith(".")


def test_a_code_says_its_remedy_and_who_does_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "[findingnotfound]"]) == ExitCode.OK

    shown = capsys.readouterr().out
    assert "no such finding in your tenant" in shown
    assert "runtimectl drift list" in shown
    assert "docs/errors/drift.md" in shown
    assert "developer" not in shown, "who has nothing to do is not named"


@pytest.mark.parametrize("alert", Alert)
def test_an_alert_is_explained_by_its_name(
    alert: Alert, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", alert, "-o", "json"]) == ExitCode.OK

    said = json.loads(capsys.readouterr().out)
    assert said["alert"].startswith(("Critical, by", "Warning, by"))


def test_the_steps_of_an_alert_are_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "severedrift"]) == ExitCode.OK

    shown = capsys.readouterr().out
    assert "step 2" in shown
    assert "drift remediate" in shown


def test_an_explanation_has_the_words_of_a_link_and_no_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "CannotStart"]) == ExitCode.OK

    shown = capsys.readouterr().out
    assert "ADR 0745" in shown
    assert "](" not in shown


def test_a_code_that_is_mistyped_is_answered_by_those_like_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "FindingNotFund"]) == ExitCode.NOT_FOUND

    assert "did you mean FindingNotFound" in capsys.readouterr().err


def test_records_of_all_apps_stand_in_order_of_time(runtimectl: RuntimeCtl) -> None:
    lines = runtimectl.run("audit", RECORDS).out.splitlines()

    assert ["user:ann" in lines[1], "user:bob" in lines[2]] == [True, True]
    assert "a fix" in lines[1]


def test_records_about_a_guest_say_whose_the_actor_and_the_target_are(
    runtimectl: RuntimeCtl,
) -> None:
    records = {
        "GET /v1/platform/tenants/audit": [
            {**RECORD, "actorTenant": "acme", "target": "tb-1"},
            {**LATER, "targetTenant": "globex", "target": "tb-2"},
        ]
    }

    lines = runtimectl.run("audit", records).out.splitlines()

    assert "user:ann of acme" in lines[1]
    assert "tb-2 of globex" in lines[2]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--who user:bob", [2]),
        ("--since 2026-11-28T12:30:00Z", [2]),
        (f"--about {DEPLOYMENT}", [4, 2]),
        ("--about env-w5ekllr23tyb", []),
        ("--last 1", [2]),
    ],
)
def test_records_are_chosen(runtimectl: RuntimeCtl, words: str, shown: list[int]) -> None:
    ran = runtimectl.run(f"audit {words} -o json", RECORDS)

    assert [each["number"] for each in json.loads(ran.out)] == shown


def test_no_more_is_read_than_was_asked_for(runtimectl: RuntimeCtl) -> None:
    further = {"value": [RECORD], "nextLink": "http://127.0.0.1:1/never?before=4"}

    ran = runtimectl.run("audit --last 1 -o json", {"GET /v1/platform/deployments/audit": further})

    asked = [each.path for each in ran.asked if "/deployments/audit" in each.path]
    assert (ran.code, len(asked)) == (ExitCode.OK, 1)
    assert "before=999999999999" in asked[0]


def test_decisions_of_the_policy_are_shown_with_what_they_rest_on(runtimectl: RuntimeCtl) -> None:
    finding = {"target": "/region", "expected": "westeurope", "received": "eastus"}
    said_no = {"target": "", "expected": None, "received": None, "message": "no change today"}
    denial = {"allowed": False, "rules": {"regions": ["westeurope"]}, "inputs": {}, "engine": {}}
    denied = {**RECORD, "number": 5, "policy": {**denial, "findings": [finding, said_no]}}
    records = {"GET /v1/platform/environments/audit": [LATER, denied]}

    lines = runtimectl.run("audit --policy", records).out.splitlines()
    said = json.loads(runtimectl.run("audit --policy -o json", records).out)

    assert "denied: /region is eastus, expected westeurope; no change today" in lines[1]
    assert "regions, engine" in lines[1]
    assert [each["policy"] for each in said] == [denied["policy"]]


AUDIT: Final = "GET /v1/platform/deployments/audit"
VERDICT: Final = "GET /v1/platform/{}/audit-verification"
SOUND: Final = {"tenantId": "acme", "status": "Sound", "brokenAt": None}
ALL_SOUND: Final = {VERDICT.format(app): SOUND for app in APPS}
EMPTY: Final = {f"GET /v1/platform/{app}/audit": [] for app in APPS}


def test_a_broken_chain_is_named_with_its_app(runtimectl: RuntimeCtl) -> None:
    broken = {VERDICT.format("deployments"): {**SOUND, "status": "Broken", "brokenAt": 7}}

    ran = runtimectl.run("audit verify", ALL_SOUND | broken)

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "records of deployments are not whole" in ran.err
    assert "7" in ran.out

    assert runtimectl.run("audit verify", ALL_SOUND).code == ExitCode.OK


@pytest.mark.parametrize(
    "missing", [pytest.param(APPS[-1:], id="one"), pytest.param(APPS, id="all")]
)
def test_records_of_an_app_that_does_not_run_are_not_called_whole(
    runtimectl: RuntimeCtl, missing: Sequence[str]
) -> None:
    paths = {VERDICT.format(app) for app in missing}
    answers = {path: sound for path, sound in ALL_SOUND.items() if path not in paths}

    ran = runtimectl.run("audit verify -o json", answers)

    found = {each["app"]: each["status"] for each in json.loads(ran.out)}
    assert found == {app: "NotAsked" if app in missing else "Sound" for app in APPS}
    assert ran.code == ExitCode.UNAVAILABLE
    assert f"records of {', '.join(missing)} were not looked at" in ran.err


def chain(newest: int, **hashes: str) -> Mapping[str, Any]:
    """Return sound verdicts of all apps, and the chain of deployments with its *newest* record.

    *hashes* are those of its records by `n<number>`.
    """
    of = {
        int(name[1:]): [{**RECORD, "number": int(name[1:]), "hash": each}]
        for name, each in hashes.items()
    }
    after = {f"{AUDIT}?after={number - 1}": of[number] for number in of}
    return ALL_SOUND | EMPTY | after | {f"{AUDIT}?before=999999999999": of[newest]}


def test_the_heads_of_now_are_kept_and_compared_next_time(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "heads.json"

    first = runtimectl.run(f"audit verify --heads {file} --make-heads", chain(4, n4="b"))
    kept = json.loads(file.read_text())
    grown = runtimectl.run(f"audit verify --heads {file}", chain(6, n4="b", n6="d"))

    assert (first.code, grown.code) == (ExitCode.OK, ExitCode.OK)
    assert f"compared with the heads in {file}" in grown.err
    assert kept == {"tenant": "acme", "heads": {"deployments": {"number": 4, "hash": "b"}}}
    assert json.loads(file.read_text())["heads"]["deployments"] == {"number": 6, "hash": "d"}


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(chain(4, n4="other"), id="other-record-at-its-place"),
        pytest.param(chain(2, n2="a") | {AUDIT + "?after=3": []}, id="shorter"),
    ],
)
def test_a_chain_that_was_made_anew_is_named_and_the_heads_stay(
    runtimectl: RuntimeCtl, tmp_path: Path, now: Mapping[str, Any]
) -> None:
    file = tmp_path / "heads.json"
    runtimectl.run(f"audit verify --heads {file} --make-heads", chain(4, n4="b"))
    kept = file.read_text()

    ran = runtimectl.run(f"audit verify --heads {file} -o json", now)

    (found,) = [each for each in json.loads(ran.out) if each["app"] == "deployments"]
    assert (found["status"], found["brokenAt"]) == ("MadeAnew", 4)
    assert (ran.code, file.read_text()) == (ExitCode.ENDED_OTHERWISE, kept)


HASH: Final = "b" * 64
ANCHORED: Final = {
    "GET /v1/runtime/audit-heads": {
        "tenantId": "acme",
        "sequence": 3,
        "anchoredAt": "2026-01-01T00:00:00.000000Z",
        "heads": {"deployments": {"number": 4, "hash": HASH}},
    }
}


def test_a_chain_leads_to_the_head_that_the_platform_anchored(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("audit verify -o json", chain(4, n4=HASH) | ANCHORED)

    found = {each["app"]: (each["status"], each["anchored"]) for each in json.loads(ran.out)}
    assert found == {app: ("Sound", 4 if app == "deployments" else None) for app in APPS}
    assert ran.code == ExitCode.OK


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(chain(4, n4="other"), id="other-record-at-its-place"),
        pytest.param(chain(2, n2="a") | {AUDIT + "?after=3": []}, id="shorter"),
    ],
)
def test_a_chain_that_was_made_anew_is_found_without_a_file(
    runtimectl: RuntimeCtl, now: Mapping[str, Any]
) -> None:
    ran = runtimectl.run("audit verify -o json", now | ANCHORED)

    (found,) = [each for each in json.loads(ran.out) if each["app"] == "deployments"]
    assert (found["status"], found["brokenAt"]) == ("MadeAnew", 4)
    assert ran.code == ExitCode.ENDED_OTHERWISE


def test_a_head_in_a_file_counts_beside_the_one_that_was_anchored(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    """Whoever made the chain anew may have written to the platform's blobs too."""
    file = tmp_path / "heads.json"
    runtimectl.run(f"audit verify --heads {file} --make-heads", chain(3, n3="c"))

    now = chain(4, n3="other", n4=HASH) | ANCHORED
    ran = runtimectl.run(f"audit verify --heads {file} -o json", now)

    (found,) = [each for each in json.loads(ran.out) if each["app"] == "deployments"]
    assert (found["status"], found["brokenAt"]) == ("MadeAnew", 3)


def test_a_blob_of_anchored_heads_is_a_file_of_heads(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    blob = {"tenant": "acme", "sequence": 3, "at": "2026-01-01", "heads": {}}
    file = tmp_path / "00000003-20260101T000000Z.json"
    file.write_text(json.dumps({**blob, "heads": {"deployments": {"number": 4, "hash": "b"}}}))

    ran = runtimectl.run(f"audit verify --heads {file}", chain(4, n4="other"))

    assert ran.code == ExitCode.ENDED_OTHERWISE


def test_the_head_of_an_app_that_does_not_run_stays(runtimectl: RuntimeCtl, tmp_path: Path) -> None:
    file = tmp_path / "heads.json"
    runtimectl.run(f"audit verify --heads {file} --make-heads", chain(4, n4="b"))
    kept = file.read_text()
    others = {path: each for path, each in chain(4, n4="b").items() if "deployments" not in path}

    ran = runtimectl.run(f"audit verify --heads {file}", others)

    assert (ran.code, file.read_text()) == (ExitCode.UNAVAILABLE, kept)


def test_apps_that_do_not_say_whose_records_they_have_are_not_called_compared(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "heads.json"
    runtimectl.run(f"audit verify --heads {file} --make-heads", chain(4, n4="b"))
    earlier = {VERDICT.format(app): {"status": "Sound", "brokenAt": None} for app in APPS}

    ran = runtimectl.run(f"audit verify --heads {file}", chain(4, n4="other") | earlier)

    assert ran.code == ExitCode.UNAVAILABLE
    assert "nothing to compare with" in ran.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("no JSON", "has no heads of audit records", id="no-json"),
        pytest.param("[1]", "has no heads of audit records", id="another-shape"),
        pytest.param(
            '{"tenant": "acme", "heads": {"health": {"number": 1e999, "hash": "a"}}}',
            "has no heads of audit records",
            id="without-end",
        ),
        pytest.param('{"tenant": "acme"}', "has no heads of audit records", id="without-heads"),
        pytest.param(
            '{"tenant": "globex", "heads": {}}', "heads of the tenant 'globex'", id="other"
        ),
    ],
)
def test_another_file_is_no_file_of_heads(
    runtimectl: RuntimeCtl, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "heads.json"
    file.write_text(content)

    ran = runtimectl.run(f"audit verify --heads {file}", ALL_SOUND)

    assert (ran.code, file.read_text()) == (ExitCode.USAGE, content)
    assert said in ran.err


@pytest.mark.parametrize(
    ("there", "options", "said"),
    [
        pytest.param(
            None, "--heads {file}", "is not there, so there is nothing of yours", id="not-there"
        ),
        pytest.param(
            '{"tenant": "acme", "heads": {}}',
            "--heads {file} --make-heads",
            "is there already",
            id="made-twice",
        ),
        pytest.param(None, "--make-heads", "the file of --heads, which is missing", id="no-file"),
    ],
)
def test_a_file_of_heads_is_made_only_on_request_and_only_once(
    runtimectl: RuntimeCtl, tmp_path: Path, there: str | None, options: str, said: str
) -> None:
    """A wrong name in a line of cron would be compared with nothing, and stay green."""
    file = tmp_path / "heads.json"
    if there:
        file.write_text(there)

    ran = runtimectl.run(f"audit verify {options.format(file=file)}", chain(4, n4="b"))

    assert (ran.code, ran.asked) == (ExitCode.USAGE, [])
    assert said in ran.err
    assert (file.read_text() if file.exists() else None) == there


def test_the_run_that_makes_the_file_says_that_it_compared_with_nothing(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    line = f"audit verify --heads {tmp_path}/heads.json --make-heads"

    ran = runtimectl.run(line, chain(4, n4="b"))

    assert ran.code == ExitCode.OK
    assert "was made with the heads of now; nothing of yours was compared" in ran.err


def test_a_place_where_no_file_can_be_is_named(runtimectl: RuntimeCtl, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")

    line = f"audit verify --heads {tmp_path}/taken/heads.json --make-heads"

    ran = runtimectl.run(line, chain(4, n4="b"))

    assert ran.code == ExitCode.USAGE
    assert "heads.json cannot be written: " in ran.err
