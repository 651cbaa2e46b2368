"""Lines in the documents, the remedies and the demo name commands and options that exist."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from cli.main import app
from cli.remedies import REMEDIES
from cli.state_folder import REPOSITORY

COMMAND: Any = typer.main.get_command(app)
PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "examples").rglob("*.md")),
]


def _lines() -> Iterator[str]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for match in re.findall(r"^    (runtimectl .*)$|`(runtimectl [^`]+)`", text, re.MULTILINE):
            yield from (line for line in match if line)
    for remedy in REMEDIES.values():
        yield from re.findall(r"`(runtimectl [^`]+)`", remedy)
    for module in sorted((REPOSITORY / "cli" / "demo").glob("*.py")):
        text = module.read_text(encoding="utf-8")
        for line in re.findall(r'sandbox\.run\(\s*f?"([^"{]+)[^"]*"', text):
            yield f"runtimectl {line}"


def unknown_words(line: str) -> list[str]:
    """Return what *line* says that no command of ours knows."""
    words = shlex.split(line.partition("&&")[0].replace("…", ""))[1:]
    command = COMMAND
    while words and hasattr(command, "commands") and not words[0].startswith(("-", "<")):
        if words[0] not in command.commands:
            return [words[0]]
        command = command.commands[words.pop(0)]
    known = {"--help"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    return [word for word in words if re.match(r"--?[a-z]", word) and word not in known]


@pytest.mark.parametrize("line", sorted(set(_lines())))
def test_a_line_that_is_shown_can_be_typed(line: str) -> None:
    assert unknown_words(line) == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("runtimectl deplo", ["deplo"]),
        ("runtimectl env craete x", ["craete"]),
        ("runtimectl env list --wiat", ["--wiat"]),
    ],
)
def test_a_line_that_cannot_be_typed_would_be_found(line: str, wrong: list[str]) -> None:
    assert unknown_words(line) == wrong
