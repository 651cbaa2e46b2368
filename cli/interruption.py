"""What Ctrl-C interrupted: whether something was sent, and whether it was answered."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Final

from cli.exit_codes import ExitCode
from cli.failure import Failure

_INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class _Sent:
    """The writes of the command that runs."""

    under_way: str = ""
    is_answered: bool = False


_sent: ContextVar[_Sent | None] = ContextVar("sent", default=None)


def begin() -> None:
    """Forget what the command before this one has sent."""
    _sent.set(_Sent())


@contextmanager
def sending(what: str) -> Iterator[None]:
    """Remember *what* as under way until it is answered."""
    sent = _sent.get() or _Sent()
    sent.under_way = what
    try:
        yield
        sent.is_answered = True
    except Failure:
        sent.under_way = ""
        raise
    sent.under_way = ""


def interrupted() -> Failure:
    """Return how a command ends that Ctrl-C stopped."""
    sent = _sent.get() or _Sent()
    if sent.under_way:
        return Failure(
            f"interrupted while {sent.under_way} was sent: it may have been accepted",
            ExitCode.INTERRUPTED,
            remedy="type the command again, which does nothing twice, or see what it did: "
            "`runtimectl events`",
        )
    if sent.is_answered:
        return Failure("interrupted; what was accepted continues", ExitCode.INTERRUPTED)
    return Failure(
        "interrupted; nothing was sent", ExitCode.INTERRUPTED, remedy="type the command again"
    )


@contextmanager
def interruption_noticed() -> Iterator[None]:
    """Raise KeyboardInterrupt for whatever error a Ctrl-C meanwhile ends as.

    Where pydantic builds a model it makes an error of its own of an interruption.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came = threading.Event()

    def notice(number: int, frame: FrameType | None) -> None:
        came.set()
        handler(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        problem = sys.exception()
        is_said = isinstance(problem, Failure) and problem.exit_code is ExitCode.INTERRUPTED
        if came.is_set() and isinstance(problem, Exception) and not is_said:
            raise KeyboardInterrupt from problem


@contextmanager
def interruptions_held() -> Iterator[list[int]]:
    """Keep interruptions back meanwhile; yield those that came, for the caller to raise.

    One that came while a program is started would leave it running, known to nobody.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # no signal comes there
        yield came
        return
    handlers = {number: signal.getsignal(number) for number in _INTERRUPTIONS}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield came
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
