"""Displays work in progress: redrawn on a terminal, else as lines that are written once.

The caller shows the whole progress as lines again and again. A line that `is_final` does not change
again. Without a terminal each final line is written once, and the others every two seconds.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from cli.output import plain, say
from shared.kernel.clock import Clock

SAMPLE_INTERVAL_S: Final = 2.0


@dataclass(frozen=True)
class Line:
    """`key` identifies the line among the others; `style` is a style of rich."""

    key: str
    text: str
    style: str = ""
    is_final: bool = True
    is_pending: bool = False
    """A step that has not started: shown on a terminal only, because nothing has happened."""


class ProgressDisplay(Protocol):
    """Shows lines of progress until it is closed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the lines shown before by *lines*."""
        ...


def open_display(clock: Clock, stream: TextIO | None = None) -> ProgressDisplay:
    """Return the display for *stream*, by default standard output."""
    out = stream or sys.stdout
    return TerminalDisplay(out) if out.isatty() else PlainDisplay(out, clock)


class PlainDisplay:
    """Writes lines once, and samples those that change."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._written: dict[str, str] = {}
        self._sampled_s: dict[str, float] = {}

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
            if line.is_pending or self._written.get(line.key) == line.text:
                continue
            if not line.is_final:
                if now_s - self._sampled_s.get(line.key, float("-inf")) < SAMPLE_INTERVAL_S:
                    continue
                self._sampled_s[line.key] = now_s
            self._written[line.key] = line.text
            say(f"  {line.text}", to=self._stream)


class TerminalDisplay:
    """Redraws the lines in place with rich, which honours NO_COLOR."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415  slow to import
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

        text = Text("\n").join(Text(f"  {plain(line.text)}", style=line.style) for line in lines)
        self._live.update(text, refresh=True)
