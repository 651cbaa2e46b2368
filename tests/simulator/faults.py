"""What goes wrong in a run, how often, by its seed; and the points of a host where it does.

Swarm testing (Groce et al., ISSTA 2012): each seed has some kinds of faults and lacks the others,
since a run with all of them at once rarely gets far enough to show one.
"""

import random  # noqa: TID251  the runs of tests are drawn here
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from shared.kernel.errors import Unavailable
from shared.persistence.store import AnswerLost
from tests.kit.mortal import Fate
from tests.kit.virtual_time import LoopClock
from tests.simulator.provider import SILENT

KILLS: Final = "host killed"
RATES: Final = {
    "store refuses": 0.02,
    "store's answer lost": 0.02,
    "store read fails": 0.01,
    "surface refuses": 0.1,
    "surface's answer lost": 0.1,
    "broker refuses": 0.05,
    "broker's answer lost": 0.05,
    "vault refuses": 0.2,
    "vault's answer lost": 0.2,
    "message late": 0.5,
    "message doubled": 0.5,
    "slow": 0.02,
    KILLS: 0.0004,
    SILENT: 0.5,
}
"""The highest rate of each kind of fault, for each point that it can occur at."""
_SLOW_S: Final = 20.0


@dataclass
class Faults:
    """The faults of one run. `rates` has those that its seed has; `hits` counts what occurred."""

    clock: LoopClock
    drawn: random.Random
    rates: dict[str, float]
    hits: Counter[str] = field(default_factory=Counter)
    are_over: bool = False

    def occurs(self, kind: str) -> bool:
        """Return whether *kind* goes wrong at this point."""
        if self.are_over or kind not in self.rates:
            return False
        occurs = self.drawn.random() < self.rates[kind]
        self.hits[kind] += occurs
        return occurs

    def fail(self, kind: str) -> None:
        """Raise what a caller sees of *kind*, if it goes wrong here."""
        if self.occurs(kind):
            lost = kind.endswith("answer lost") and kind.startswith("store")
            raise (AnswerLost if lost else Unavailable)(f"simulated: {kind}")

    async def pass_by(self, place: str, *, is_after: bool) -> None:
        """Pass the point before or after a write of *place*, or fail there, or take long."""
        if self.occurs("slow"):
            await self.clock.sleep(self.drawn.random() * _SLOW_S)
        self.fail(f"{place}'s answer lost" if is_after else f"{place} refuses")


def faults_of(seed: int, clock: LoopClock) -> Faults:
    """Return the faults of the run *seed*: each kind in half of all runs, as often as drawn."""
    drawn = random.Random(f"faults {seed}")
    rates = {
        kind: highest * drawn.random() ** 2
        for kind, highest in RATES.items()
        if drawn.random() < 0.5
    }
    return Faults(clock, drawn, rates)


@dataclass
class FaultyFate(Fate):
    """The points of one host, at each of which it may die or what it writes to may fail."""

    faults: Faults | None = None

    async def pass_by(self, point: str) -> None:
        if self.faults and not self.is_dead and self.faults.occurs(KILLS):
            self.kill_at = self.count + 1
        await super().pass_by(point)
        place = _place(point)
        if self.faults and place:
            await self.faults.pass_by(place, is_after=point.startswith("after"))


def _place(point: str) -> str:
    """Return what *point* writes to; empty for the host's own database, which is always there."""
    for place, sign in (
        ("store", " commit in "),
        ("surface", " surface "),
        ("broker", " send to "),
    ):
        if sign in point:
            return place
    return ""
