"""Progress on a terminal that is redrawn, or as plain lines that are written once.

A caller shows the whole picture as lines again and again. A line that is `settled` will not change
any more; the plain form writes each of those once, and the moving ones every two seconds.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from shared.kernel.clock import Clock

MOVING_EVERY_S: Final = 2.0


@dataclass(frozen=True)
class Line:
    """`key` says which line of the picture it is; `style` is rich's."""

    key: str
    text: str
    style: str = ""
    settled: bool = True
    is_ahead: bool = False
    """Still to come: part of a picture, but nothing that happened, so no line of its own."""


class Screen(Protocol):
    """Where a picture of work in progress goes."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the picture by *lines*."""
        ...


def open_screen(clock: Clock, stream: TextIO | None = None) -> Screen:
    """Return the screen for *stream*, standard output when not given."""
    out = stream or sys.stdout
    return LiveScreen(out) if out.isatty() else PlainScreen(out, clock)


class PlainScreen:
    """Lines, written once; what moves is sampled."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._written: dict[str, str] = {}
        self._moved_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.flush()

    def show(self, lines: Sequence[Line]) -> None:
        now_s = self._clock.monotonic_s()
        for line in lines:
            if line.is_ahead or self._written.get(line.key) == line.text:
                continue
            if not line.settled:
                if now_s - self._moved_s.get(line.key, float("-inf")) < MOVING_EVERY_S:
                    continue
                self._moved_s[line.key] = now_s
            self._written[line.key] = line.text
            print(f"  {line.text}", file=self._stream, flush=True)


class LiveScreen:
    """The picture, redrawn in place by rich; NO_COLOR is rich's own business."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415  a tenth of a second
        from rich.live import Live  # noqa: PLC0415

        self._live = Live(console=Console(file=stream, highlight=False), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, lines: Sequence[Line]) -> None:
        from rich.text import Text  # noqa: PLC0415

        picture = Text("\n").join(Text(f"  {line.text}", style=line.style) for line in lines)
        self._live.update(picture, refresh=True)
