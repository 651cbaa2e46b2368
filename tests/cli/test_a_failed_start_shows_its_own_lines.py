"""What a start that failed shows of the log is of that start, not of those before it."""

import re
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.host_process import log_size, log_tail
from cli.main import main
from cli.state_folder import StateFolder


def test_only_what_was_written_since_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "host.log"
    log.write_text("an earlier start\n", encoding="utf-8")
    before = log_size(log)
    with log.open("a", encoding="utf-8") as file:
        file.write("this start\n")

    assert log_tail(log, before) == ["this start"]


def test_a_log_that_was_cut_meanwhile_is_shown_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "host.log"
    log.write_text("this start\n", encoding="utf-8")

    assert log_tail(log, 1 << 20) == ["this start"]


@pytest.mark.real
def test_a_second_failure_does_not_show_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    folder.host_log.write_text("the cause of an earlier start\n", encoding="utf-8")
    monkeypatch.setenv("RUNTIME_TELEMETRY", "otpl")

    code = main(["up", "--port", "0", "--state", str(tmp_path)])

    said = capsys.readouterr().err
    assert code == ExitCode.REFUSED, "the same command would not work later"
    assert re.match(r"error: the host did not start: RUNTIME_TELEMETRY: .*otpl", said), said
    assert "importing" not in said
    assert "local.settings.json" not in said
    assert "an earlier start" not in said
