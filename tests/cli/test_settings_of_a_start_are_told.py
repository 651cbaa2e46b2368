"""A setting from the environment is of one start: `up` says so, and `doctor` what is in force."""

import json
import os
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.host_settings import last_settings, remarks, shown
from cli.main import main
from cli.state_folder import StateFolder

BURST, DAYS = "RUNTIME_WRITES_BURST", "RUNTIME_ENDED_KEPT_DAYS"


@pytest.fixture(autouse=True)
def _given_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("RUNTIME")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(BURST, "70")


def test_what_is_of_this_start_only_and_what_is_lost_is_said() -> None:
    of_this, lost, keep = remarks([BURST, DAYS], None)

    assert of_this.startswith("of this start only")
    assert of_this.endswith(BURST)
    assert lost.startswith("not in force any more")
    assert lost.endswith(DAYS)
    assert "local.settings.json" in keep


def test_without_settings_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BURST)
    monkeypatch.setenv("RUNTIME_PROFILE", "local")

    assert remarks([], None) == []


@pytest.mark.parametrize(
    ("running", "is_said"), [({}, True), ({BURST: "60"}, True), ({BURST: "70"}, False)]
)
def test_of_a_system_that_runs_those_that_it_was_not_started_with_are_named(
    running: dict[str, str], *, is_said: bool
) -> None:
    said = remarks([], running)

    assert bool(said) is is_said
    assert all(BURST in each and "`runtimectl down`" in each for each in said)


def test_those_that_are_not_the_default_are_shown_and_never_a_secret() -> None:
    settings = {
        BURST: "70", "RUNTIME_WRITES_PER_S": "5.0", "RUNTIME_PROFILE": "local",
        "RUNTIME_PROMETHEUS_BASIC": "ann:secret", "RUNTIME_UNHEARD_OF": "secret",
        "PATH": "/secret",
    }  # fmt: skip

    said = shown(settings)

    assert f"{BURST}=70" in said
    assert "RUNTIME_PROMETHEUS_BASIC (not shown)" in said
    assert "RUNTIME_UNHEARD_OF (not shown)" in said
    assert [each for each in ("secret", "RUNTIME_PROFILE", "WRITES_PER_S") if each in said] == []


def test_that_none_is_given_is_shown() -> None:
    assert shown({"RUNTIME_PROFILE": "local"}) == "all are the default"


@pytest.mark.real
def test_a_system_shows_what_it_was_started_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--state", str(tmp_path)]
    try:
        begun = main(["up", "--port", "0", *where]), capsys.readouterr().err
        main(["doctor", "-o", "json", *where])
        found = json.loads(capsys.readouterr().out)
    finally:
        main(["down", *where])

    assert begun[0] == ExitCode.OK
    assert f"of this start only, as they come from its environment: {BURST}" in begun[1]
    assert {each["check"]: each["detail"] for each in found}["settings"] == f"{BURST}=70"
    assert last_settings(StateFolder(tmp_path)) == [BURST]
