"""Writes the heads of HTTP/1.1 answers."""

import re
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from local_host.model import HttpAnswer
from shared.kernel.clock import Clock

NO_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_STATUS_MIN: Final = 200
"""What is below is no answer: a client would go on waiting for one."""
_STATUS_MAX: Final = 999
_OF_THE_CONNECTION: Final = frozenset({"content-length", "transfer-encoding", "connection"})


class ResponseHeads:
    """Status line and date are formatted once a second, header lines when they are new."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._starts: dict[int, str] = {}

    def head_of(self, answer: HttpAnswer, *, keep_alive: bool, now_s: float) -> bytes:
        """Return everything before the body; *now_s* is monotonic.

        Raises:
            ValueError: HTTP cannot carry a header of *answer*.
        """
        if int(now_s) != self._second:
            self._second = int(now_s)
            self._starts.clear()
        status = answer.status
        text = self._starts.get(status) or self._start(status)
        for name, value in answer.headers:
            text += _line(name, value)
        if status not in NO_BODY:
            text += f"content-length: {len(answer.body)}\r\n"
        text += "\r\n" if keep_alive else "connection: close\r\n\r\n"
        return text.encode("latin-1")

    def _start(self, status: int) -> str:
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        date = format_datetime(self._clock.now(), usegmt=True)
        start = f"HTTP/1.1 {int(status)} {phrase}\r\ndate: {date}\r\n"
        self._starts[status] = start
        return start


def check_answer(answer: HttpAnswer) -> None:
    """Raise for an answer that HTTP cannot carry; says which part, and what to write.

    Raises:
        ValueError: a status or header that cannot be sent.
        TypeError: a header that is not text.
    """
    if not _is_status(answer.status):
        shown = str(answer.status)[:80]
        raise ValueError(
            f"status {shown!r}: write a whole number from {_STATUS_MIN} to {_STATUS_MAX}"
        )
    for name, value in answer.headers:
        _line(name, value)


def _is_status(value: object) -> bool:
    return isinstance(value, int) and _STATUS_MIN <= value <= _STATUS_MAX


@lru_cache(maxsize=512)
def _line(name: str, value: str) -> str:
    """Return one header line; empty for a header that only the server may write.

    Raises:
        ValueError: a name that is no token, or a value with control characters, which could begin
            a header, or an answer, of its own, or with what is not Latin-1.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name[:80]!r}: write letters, digits and - only")
    if _UNSENDABLE.search(value):
        raise ValueError(
            f"header {name[:80]!r} with value {value[:80]!r}: write Latin-1 text without control"
            " characters, percent-encode the rest"
        )
    return "" if name.lower() in _OF_THE_CONNECTION else f"{name}: {value}\r\n"
