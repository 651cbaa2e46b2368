"""Ours and its peers in turn: A B C A B C …, medians with min and max, one table and one JSON line.

What the figures may be compared with is the peer of the same run only: machines differ, and a
shared one differs from minute to minute.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ROUNDS = 5
NOT_MEASURED = 3
MISSED = 1


class NotMeasured(Exception):
    """A peer cannot run here; the message says why."""


@dataclass(frozen=True)
class Goal:
    """*ours* must reach *ratio* x *peer*; figures are rates, more is better."""

    ours: str
    peer: str
    ratio: float


def run(
    title: str,
    unit: str,
    sides: Mapping[str, Callable[[], float]],
    goals: list[Goal],
    rounds: int = ROUNDS,
) -> int:
    """Measure every side once a round; print, and return the exit code."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for name, measure in sides.items():
            if name in missing:
                continue
            try:
                figures[name].append(measure())
            except NotMeasured as why:
                missing[name] = str(why)
    print(f"{title} ({unit}, median of {rounds} rounds)")
    medians = {name: statistics.median(found) for name, found in figures.items() if found}
    for name in sides:
        if name in missing:
            print(f"  {name:<40} not measured: {missing[name]}")
        else:
            low, high = min(figures[name]), max(figures[name])
            middle = _shown(medians[name])
            print(f"  {name:<40} {middle:>10}   min {_shown(low)}  max {_shown(high)}")
    verdicts = [_verdict(goal, figures) for goal in goals]
    print(json.dumps({"title": title, "unit": unit, "figures": figures, "goals": verdicts}))
    if missing:
        return NOT_MEASURED
    return 0 if all(verdict["reached"] for verdict in verdicts) else MISSED


def judge(title: str, rounds: Sequence[Mapping[str, float]], limits: Mapping[str, float]) -> int:
    """Print the median of each figure, with its bound in *limits*; return the exit code.

    For figures that are compared with a bound and not with a peer.
    """
    is_missed = False
    for name in rounds[0]:
        values = [each[name] for each in rounds]
        median, word = statistics.median(values), ""
        if name in limits:
            is_reached = median <= limits[name]
            is_missed |= not is_reached
            word = f"   at most {limits[name]:g}: {'reached' if is_reached else 'MISSED'}"
        print(f"  {name:<42}{median:>8.2f}   min {min(values):.2f}  max {max(values):.2f}{word}")
    print(json.dumps({"title": title, "figures": rounds}))
    return MISSED if is_missed else 0


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.2f}"


def _verdict(goal: Goal, figures: Mapping[str, list[float]]) -> dict[str, object]:
    """Judge the median of the rounds' own ratios: a shared machine is not as fast in each round."""
    pairs = list(zip(figures[goal.ours], figures[goal.peer], strict=False))
    if not pairs:
        return {"ours": goal.ours, "peer": goal.peer, "reached": False, "ratio": None}
    ratio = statistics.median(ours / peer for ours, peer in pairs)
    reached = ratio >= goal.ratio
    word = "reached" if reached else "MISSED"
    print(f"  {goal.ours} = {ratio:.2f} x {goal.peer}; to reach {goal.ratio:g} x: {word}")
    return {"ours": goal.ours, "peer": goal.peer, "ratio": round(ratio, 3), "reached": reached}
