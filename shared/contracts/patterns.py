"""Patterns of text, each with the words that say to people what it takes."""

_WORDS: dict[str, str] = {}


def pattern(expression: str, words: str) -> str:
    """Return *expression*; a refusal says *words* in its place."""
    _WORDS[expression] = words
    return expression


def words_of(expression: str) -> str:
    """Return what *expression* takes, in words."""
    return _WORDS.get(expression, f"text that matches {expression}")
