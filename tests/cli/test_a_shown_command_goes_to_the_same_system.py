"""What a message says to type goes to the state folder that the command itself was about."""

import json
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.main import main


@pytest.mark.parametrize("line", ["--state {} status", "status --state {}"])
def test_a_command_names_the_state_folder_that_was_typed(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(line.format(tmp_path).split())

    assert code == ExitCode.UNAVAILABLE
    assert f"next:  start it: `runtimectl --state {tmp_path} up`" in capsys.readouterr().err


def test_a_folder_is_quoted_for_the_shell_in_json_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / 'my "own" state'

    main(["status", "--state", str(folder), "-o", "json"])

    error = json.loads(capsys.readouterr().err)["error"]
    assert f"`runtimectl --state '{folder}' up`" in error["next"]


def test_a_folder_of_the_environment_is_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMECTL_STATE", str(tmp_path))

    main(["status"])

    assert "start it: `runtimectl up`" in capsys.readouterr().err


def test_a_table_names_it_and_help_needs_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--state", str(tmp_path), "doctor"])
    findings = capsys.readouterr().out
    main(["--state", str(tmp_path), "status", "--nothing"])

    assert f"nobody is logged in: `runtimectl --state {tmp_path} login --dev`" in findings
    assert "see `runtimectl status --help`" in capsys.readouterr().err
