"""A chart in the terminal: how many instances there were, and how many there would have been."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from cli.output import format_time

HEIGHT_MAX: Final = 12
WIDTH_MAX: Final = 72
_BAR, _LINE, _BOTH, _NONE = "█", "─", "▀", " "


def chart(steps: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Return the lines of a chart of *steps*, oldest on the left, with its axes.

    A column has the most of its steps. A bar is what the proposed policy wants; a line what there
    was, `▀` where the line lies on the bar.
    """
    columns = _columns(steps)
    top = max((max(column) for column in columns), default=0)
    if not top:
        return ["no instance, now or then"]
    rows = min(top, HEIGHT_MAX)
    lines = []
    for row in range(rows, 0, -1):
        low, high = (row - 1) * top / rows, row * top / rows
        cells = "".join(_cell(*column, low, high) for column in columns)
        lines.append(f"{high:>6.4g} │{cells}")
    first, last = format_time(steps[0]["at"]), format_time(steps[-1]["at"])
    gap = max(1, len(columns) - len(first) - len(last))
    return [*lines, f"{'0':>6} └{_LINE * len(columns)}", f"        {first}{' ' * gap}{last}",
            f"        {_BAR} proposed   {_LINE} recorded   {_BOTH} both"]  # fmt: skip


def _columns(steps: Sequence[Mapping[str, Any]]) -> Sequence[tuple[int, int]]:
    """Return of each column the most that was wanted, and that there was."""
    width = min(len(steps), WIDTH_MAX)
    placed = [(place * width // len(steps), step) for place, step in enumerate(steps)]
    return [
        (max(s["desired"] for s in each), max(s["recorded"] for s in each))
        for each in (
            [step for _, step in group] for _, group in groupby(placed, lambda pair: pair[0])
        )
    ]


def _cell(desired: int, recorded: int, low: float, high: float) -> str:
    is_bar, is_line = desired > low, low < recorded <= high
    if is_bar and is_line:
        return _BOTH
    return _BAR if is_bar else _LINE if is_line else _NONE
