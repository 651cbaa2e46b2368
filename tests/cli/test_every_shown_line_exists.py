"""Lines in the documents, the remedies and the demo name commands and options that exist."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from cli.main import app
from cli.remedies import REMEDIES
from cli.remedy_lookup import BY_WORDS
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


def _next_steps() -> Iterator[str]:
    """Yield each command of a remedy, and of a `next:` that a command shows."""
    for remedy in (*REMEDIES.values(), *(remedy for _, _, remedy in BY_WORDS)):
        yield from re.findall(r"`(runtimectl [^`]+)`", remedy)
    for module in sorted((REPOSITORY / "cli").rglob("*.py")):
        # Literals that stand one after the other are one text.
        text = re.sub(r"\"\s*\n\s*f?\"", "", module.read_text(encoding="utf-8"))
        for line in re.findall(r"`(runtimectl [^`]+)`|next:  (runtimectl [^\"]+)\"", text):
            yield from (each for each in line if each)


def not_given(line: str) -> list[str]:
    """Return what the command of *line* needs and *line* does not say."""
    words = shlex.split(line.replace("{", "<").replace("}", ">"))[1:]
    command = COMMAND
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if "--help" in words:
        return []
    options = {name: each for each in command.params for name in (*each.opts, *each.secondary_opts)}
    places, given = 0, set[str]()
    while words:
        word = words.pop(0)
        option = options.get(word)
        if option is None or option.param_type_name != "option":
            places += 1
            continue
        given.add(option.name)
        if not option.is_flag and words:
            words.pop(0)
    needed = [each for each in command.params if each.required]
    arguments = [each.name for each in needed if each.param_type_name == "argument"]
    return arguments[places:] + [
        each.name for each in needed if each.param_type_name == "option" and each.name not in given
    ]


@pytest.mark.parametrize("line", sorted(set(_next_steps())))
def test_the_next_step_says_all_that_its_command_needs(line: str) -> None:
    assert not_given(line) == []


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("runtimectl secret revoke", ["secret", "env"]),
        ("runtimectl secret revoke pw", ["env"]),
        ("runtimectl secret revoke pw --env test", []),
        ("runtimectl logs --follow", ["module", "env"]),
    ],
)
def test_what_a_line_does_not_say_would_be_found(line: str, missing: list[str]) -> None:
    assert sorted(not_given(line)) == sorted(missing)


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
