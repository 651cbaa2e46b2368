"""Reasons and answers of workloads are text of others: shown, and never acted on by a terminal."""

import ast
import json
from pathlib import Path
from typing import Final

import pytest

from cli.demo.sandbox import Sandbox
from cli.output import Column, Format, note, show
from cli.state_folder import REPOSITORY
from tests.cli.small_platform import DEPLOYMENT, RUNTIME, RuntimeCtl

CLEARS, TITLE, CSI = "\x1b[2J", "\x1b]0;owned\x07", "\x9b2J"
SAID = f"because{CLEARS}{TITLE}{CSI}\u202e of us"
ITEM = {"reason": SAID, "state": "Suspended"}
PRINTERS: Final = {"cli/output.py", "cli/demo/sandbox.py"}
"""The modules that write to the terminal, each tested below; all others write by them."""
MODULES: Final = sorted((REPOSITORY / "cli").rglob("*.py"))
ACTS: Final = {"\x1b", "\x07", "\x9b"}


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        pytest.param(Format.TABLE, None, id="fields"),
        pytest.param(Format.TABLE, [Column("REASON", "reason")], id="a-table"),
        pytest.param(Format.JSON, None, id="json"),
        pytest.param(Format.YAML, None, id="yaml"),
    ],
)
def test_what_others_said_is_shown_without_escapes(
    form: Format, columns: list[Column] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    show([ITEM] if columns else ITEM, form, columns)
    note(SAID)

    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "because" in text
        assert not ACTS & {*text}


def test_json_says_exactly_what_others_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = SAID + "\u00ad\ud800\U000e0001\x7f größer"

    show({"reason": said}, Format.JSON)

    assert json.loads(capsys.readouterr().out) == {"reason": said}


@pytest.mark.real
def test_the_output_of_a_workload_gives_the_terminal_no_orders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = {"instance": "i-1", "releaseRevision": 3, "lines": [SAID], "reason": None}
    platform = {f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": [instance]}

    ran = RuntimeCtl(monkeypatch, capsys).run("logs module-shop --env test", platform)

    assert "because\\x1b[2J" in ran.out
    assert not ACTS & {*ran.out}


def test_a_demo_shows_what_others_said_without_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Sandbox(tmp_path, 0).print(SAID, "1")

    assert not ACTS & {*capsys.readouterr().out}


def test_only_modules_that_escape_write_to_the_terminal() -> None:
    found = {str(path.relative_to(REPOSITORY)) for path in MODULES if _prints(path)}

    assert found == PRINTERS


def _prints(path: Path) -> list[int]:
    """Return the lines at which *path* prints what is not written there."""
    calls = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Call)]
    return [
        each.lineno
        for each in calls
        if ast.unparse(each.func) in {"print", "typer.echo", "typer.secho", "sys.stdout.write",
                                      "sys.stderr.write", "pprint"}
        and not all(isinstance(argument, ast.Constant) for argument in each.args)
    ]  # fmt: skip


def test_lines_and_other_languages_stay(capsys: pytest.CaptureFixture[str]) -> None:
    note("zwei\nZeilen: größer \u2192 漢字")

    assert capsys.readouterr().err == "zwei\nZeilen: größer → 漢字\n"
