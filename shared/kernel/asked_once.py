"""Answers from outside, kept while one decision is made, however often it is made again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


class AskedOnce:
    """Keeps the answer to each question that a decision asks outside.

    A decision that met another writer is made again. While a slow answer is asked for again, other
    writers would come first again. What raises is asked again.
    """

    def __init__(self) -> None:
        self._answers: list[tuple[object, object]] = []

    async def ask(self, question: object, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what *ask* answers to *question*: one that equals it has the same answer."""
        for asked, answer in self._answers:
            if asked == question:
                return cast("T", answer)  # a question has one kind of answer
        answer = await ask()
        self._answers.append((question, answer))
        return answer
