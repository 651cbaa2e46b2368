import re

import pytest

from cli.exit_codes import ExitCode, exit_code_of
from cli.main import main
from cli.state_folder import REPOSITORY


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ExitCode.REFUSED),
        (401, ExitCode.NOT_LOGGED_IN),
        (403, ExitCode.REFUSED),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.CONFLICT),
        (412, ExitCode.CONFLICT),
        (413, ExitCode.REFUSED),
        (422, ExitCode.REFUSED),
        (429, ExitCode.UNAVAILABLE),
        (500, ExitCode.DEFECT),
        (503, ExitCode.UNAVAILABLE),
    ],
)
def test_each_status_of_the_api_has_its_exit_code(status: int, expected: ExitCode) -> None:
    assert exit_code_of(status) is expected


def test_every_exit_code_is_documented_with_its_number() -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")

    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}

    assert documented == {int(code) for code in ExitCode}


@pytest.mark.parametrize("line", [["--help"], ["deploy", "--help"], ["env", "create", "--help"]])
def test_help_is_no_error(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main(line)

    assert code == ExitCode.OK
    assert "Usage: runtimectl" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        ["deploi"],
        ["up", "--port", "many"],
        ["up", "--port", "80000"],
        ["up", "--state", "/dev/null/here"],
        ["promote", "test"],
    ],
    ids=["word", "value", "bound", "no-folder", "missing"],
)
def test_a_line_that_cannot_be_understood_is_a_usage_error(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(line)

    assert code == ExitCode.USAGE
    assert capsys.readouterr().err
