"""The word that was probably meant, of those that are allowed."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(text: str, words: Iterable[str]) -> str:
    """Return the end of a message that names the one of *words* like *text*; empty without one."""
    allowed = {word.casefold(): word for word in words}
    likely = get_close_matches(text.casefold(), sorted(allowed), n=1)
    return f"; did you mean {allowed[likely[0]]}?" if likely else ""
