"""Patterns of text, each with the words that say to people what it takes."""

import re
from typing import Final

GIVEN_VARIABLES: Final = re.compile(
    "PORT|HOME|TMPDIR|VIRTUAL_ENV|RUNTIME_(?:DATA_.+|(?:ENVIRONMENT|TENANT|MODULE|INSTANCE)_ID"
    "|INSTANCE_TOKEN|RELEASE_REVISION|VERSION|ARTIFACT|CONTENT|UNIT)"
)
"""The variables that every process is given, as in docs/process.md."""
_WORDS: dict[str, str] = {}


def pattern(expression: str, words: str) -> str:
    """Return *expression*; a refusal says *words* in its place."""
    _WORDS[expression] = words
    return expression


def words_of(expression: str) -> str:
    """Return what *expression* takes, in words."""
    return _WORDS.get(expression, f"text that matches {expression}")
