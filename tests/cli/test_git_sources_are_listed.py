"""`drift source` follows repositories, and says which commit of each is compared."""

from collections.abc import Mapping
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from shared.contracts.drift import SOURCE_REASONS_MAX
from tests.cli.small_platform import ENVIRONMENT, NOON, RUNTIME, RuntimeCtl, platform

pytestmark = pytest.mark.real
SOURCE = "gs-w5ekllr23tyb-abcdefghijkl"
THE_SOURCE: Mapping[str, Any] = {
    "sourceId": SOURCE, "tenantId": "acme", "repository": "https://git.example.org/x.git",
    "branch": "main", "path": "", "environmentIds": [ENVIRONMENT],
    "environments": [{"environmentId": ENVIRONMENT, "modules": 1, "reasons": []}], "every": "PT5M",
    "commit": "0123456789abcdef", "syncedAt": NOON, "staleSince": None, "reason": None,
    "webhook": f"/v1/runtime/git-sources/{SOURCE}/webhook?tenant=acme", "revision": 2,
}  # fmt: skip
STALE: Mapping[str, Any] = {
    **THE_SOURCE,
    "staleSince": NOON,
    "reason": {"code": "Unreachable", "message": "no answer"},
}
ANSWERS: Mapping[str, Any] = {
    f"GET {RUNTIME}/git-sources": {"value": [THE_SOURCE, STALE], "nextLink": None},
    f"POST {RUNTIME}/git-sources": THE_SOURCE,
    f"GET {RUNTIME}/git-sources/{SOURCE}": STALE,
    f"DELETE {RUNTIME}/git-sources/{SOURCE}": THE_SOURCE,
}


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def test_a_list_has_the_commit_that_is_compared_and_what_cannot_be_read(
    runtimectl: RuntimeCtl,
) -> None:
    ran = runtimectl.run("drift source list", ANSWERS)

    assert ran.code == ExitCode.OK, ran.err
    assert "0123456789ab " in ran.out
    assert f"Unreachable since {NOON}" in ran.out


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        pytest.param(["NoManifests"], "read; nothing for test", id="no-folder"),
        pytest.param(
            ["ManifestInvalid"] * 2, "read; 2 ManifestInvalid of test", id="all-that-there-are"
        ),
        pytest.param(
            ["ManifestInvalid"] * SOURCE_REASONS_MAX,
            "read; at least 3 ManifestInvalid of test",
            id="as-many-as-an-answer-has",
        ),
    ],
)
def test_the_state_says_what_of_an_environment_was_not_read(
    runtimectl: RuntimeCtl, codes: list[str], state: str
) -> None:
    reasons = [{"code": code, "message": "it is so"} for code in codes]
    unread = {"environmentId": ENVIRONMENT, "modules": 0, "reasons": reasons}
    source = {**THE_SOURCE, "environments": [unread]}

    ran = runtimectl.run("drift source list", {f"GET {RUNTIME}/git-sources": [source]})

    assert ran.code == ExitCode.OK, ran.err
    assert state in ran.out


def test_sources_of_a_system_that_says_nothing_of_environments_are_listed(
    runtimectl: RuntimeCtl,
) -> None:
    older = {name: value for name, value in THE_SOURCE.items() if name != "environments"}
    answers = {f"GET {RUNTIME}/git-sources": {"value": [older], "nextLink": None}}

    with platform(answers) as server:
        ran = runtimectl.run_at(server, "drift source list")

    assert ran.code == ExitCode.OK, ran.err
    assert "0123456789ab " in ran.out


def test_who_adds_one_is_told_where_webhooks_go(runtimectl: RuntimeCtl) -> None:
    line = "drift source add https://git.example.org/x.git --env test --webhook-secret git-webhook"

    ran = runtimectl.run(line, ANSWERS)

    assert ran.code == ExitCode.OK, ran.err
    assert f"{SOURCE}/webhook?tenant=acme" in ran.err


@pytest.mark.parametrize("line", [f"show {SOURCE}", f"remove {SOURCE}"])
def test_one_is_shown_and_removed(runtimectl: RuntimeCtl, line: str) -> None:
    ran = runtimectl.run(f"drift source {line}", ANSWERS)

    assert ran.code == ExitCode.OK, ran.err
    assert "https://git.example.org/x.git" in ran.out


@pytest.mark.parametrize("verb", ["show", "remove"])
@pytest.mark.parametrize("typed", ["https://git.example.org/x.git", "web"])
def test_what_is_no_id_of_a_source_leads_to_the_list_of_ids(
    runtimectl: RuntimeCtl, verb: str, typed: str
) -> None:
    ran = runtimectl.run(f"drift source {verb} {typed}", ANSWERS)

    assert ran.code == ExitCode.USAGE
    assert f"got '{typed}'" in ran.err
    assert "`runtimectl drift source list`" in ran.err
