"""Reasons and answers of workloads are text of others: shown, and never acted on by a terminal."""

import pytest

from cli.output import Column, Format, note, show

CLEARS, TITLE, CSI = "\x1b[2J", "\x1b]0;owned\x07", "\x9b2J"
SAID = f"because{CLEARS}{TITLE}{CSI}\u202e of us"
ITEM = {"reason": SAID, "state": "Suspended"}


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
        assert not {"\x1b", "\x07", "\x9b"} & {*text}


def test_lines_and_other_languages_stay(capsys: pytest.CaptureFixture[str]) -> None:
    note("zwei\nZeilen: größer \u2192 漢字")

    assert capsys.readouterr().err == "zwei\nZeilen: größer → 漢字\n"
