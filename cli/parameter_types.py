"""Types of parameters whose values are checked before anything is sent."""

import math
import re
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.similar_words import did_you_mean
from shared.kernel.clock import isoformat

_PROJECT: Final = re.compile(r"proj-[a-z0-9][a-z0-9-]{0,57}")
_ID: Final = re.compile(r"[a-z]+-[a-z0-9-]{1,150}")
_MODULE: Final = re.compile(r"module-[a-z0-9][a-z0-9-]{0,55}")


def one_of(module: str, name: str) -> dict[str, Any]:
    """Return settings of an option that takes one word of the contract *name* in *module*.

    The contract is imported when a value is there, because contracts are slow to import.
    """
    words = _words_of(module, name)

    def parse(text: str) -> str:
        word = _same_word(text, words())
        if word is None:
            hint = did_you_mean(text, words())
            raise typer.BadParameter(f"expected one of {', '.join(words())}, got {text!r}{hint}")
        return word

    return {"parser": parse, "autocompletion": _completion(words), "metavar": "WORD"}


def one_of_checked_later(module: str, name: str) -> dict[str, Any]:
    """Return settings as `one_of`, of an option of a command that names all mistakes at once.

    A text that is none of the words is kept: the contract refuses it with all else.
    """
    words = _words_of(module, name)

    def parse(text: str) -> str:
        return _same_word(text, words()) or text

    return {"parser": parse, "autocompletion": _completion(words), "metavar": "WORD"}


def _words_of(module: str, name: str) -> Callable[[], Sequence[str]]:
    return lambda: [str(word) for word in getattr(import_module(module), name)]


def _same_word(text: str, words: Sequence[str]) -> str | None:
    """Return the word that *text* is, whatever its case; None where it is none."""
    return next((word for word in words if word.casefold() == text.casefold()), None)


def instant(text: str) -> str:
    """Return an ISO 8601 date or instant as the API writes it; without an offset it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise typer.BadParameter(
            f"expected a time such as 2026-11-28 or 2026-11-28T12:00:00Z, got {text!r}"
        ) from wrong
    return isoformat(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))


def seconds(text: str) -> float:
    """Return a number of seconds, at least 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:
        raise typer.BadParameter(f"expected seconds, at least 1, got {text!r}")
    return value


def words(text: str) -> str:
    """Return a text that says something."""
    if text.strip():
        return text
    raise typer.BadParameter(f"expected a few words, got {text!r}")


def module_id(text: str) -> str:
    """Return the id of a module."""
    if _MODULE.fullmatch(text):
        return text
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    likely = slug if slug.startswith("module-") else f"module-{slug or 'shop'}"
    raise typer.BadParameter(
        f"a module is called module- and lower case letters, digits and dashes, got {text!r}; "
        f"did you mean {likely}?"
    )


def project_id(text: str) -> str:
    """Return the id of a project."""
    if _PROJECT.fullmatch(text):
        return text
    raise typer.BadParameter(
        "a project is called proj- and lower case letters, digits and dashes: "
        f"expected one such as proj-shop, got {text!r}"
    )


def any_id(text: str) -> str:
    """Return an id of any kind that the platform gives."""
    if _ID.fullmatch(text):
        return text
    raise typer.BadParameter(f"expected an id such as dep-… or env-…, got {text!r}")


def command_words(text: str) -> list[str]:
    """Return the words of the value of `--command`, split as a shell does."""
    try:
        return shlex.split(text)
    except ValueError as unfinished:
        raise Failure(
            f"--command: expected words as in a shell: {unfinished}",
            ExitCode.USAGE,
            remedy="close each quote: --command 'python serve.py \"$PORT\"'",
        ) from unfinished


def named_values(texts: Sequence[str] | None, option: str, example: str) -> list[tuple[str, str]]:
    """Return name and value of each of *texts*, the values of *option*: `name=value`."""
    pairs, others = split_pairs(texts)
    if others:
        raise Failure(
            f"--{option}: expected name=value, got {typed_text(others[0])}",
            ExitCode.USAGE,
            remedy=f"write it like this: --{option} {example}",
        )
    return pairs


def split_pairs(texts: Sequence[str] | None) -> tuple[list[tuple[str, str]], list[str]]:
    """Return name and value of each of *texts* that is `name=value`, and the others as they are."""
    parts = [text.partition("=") for text in texts or ()]
    pairs = [(name, value) for name, separator, value in parts if separator]
    return pairs, [name for name, separator, _ in parts if not separator]


def typed_text(text: str) -> str:
    """Return *text*, typed for `name=value`, as a message shows it, which a log may keep."""
    from shared.contracts.validation import shown_text  # noqa: PLC0415  slow to import

    return shown_text(text)


def _completion(words: Callable[[], Sequence[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words() if word.casefold().startswith(incomplete.casefold())]

    return complete
