"""Cases of what crosses: each order, pace and delivery of what may happen to a module."""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from shared.contracts.configuration_merge import hash_of
from shared.contracts.releases import ReleasedComponent
from shared.kernel.clock import SystemClock
from tests.deployments.crossings import Crossing, shuffled
from tests.deployments.places import Place, digest_of
from tests.kit.seeded_entropy import SeededEntropy

REFUSED: Final = frozenset({"NotRollbackable", "NotInForce", "NothingToTakeBack"})
"""Codes of a rollback of what was replaced, of the first release, or to what runs."""


Action = Callable[[Crossing], Awaitable[None]]
ACTIONS: Final[Mapping[str, Action]] = {
    "release": Crossing.release,
    "publish": Crossing.publish,
    "rotate": Crossing.rotate,
    "roll back": Crossing.roll_back,
}
ORDERS: Final = tuple(permutations(ACTIONS))
PACES: Final = ("one by one", "at once", "at once, undoing what runs")


@dataclass(frozen=True)
class Case:
    """Actions in an order: each when the one before has ended, or all at once."""

    order: tuple[str, ...]
    pace: str
    is_disordered: bool

    def __str__(self) -> str:
        how = "messages in any order, twice and again" if self.is_disordered else "each once"
        return f"{', '.join(self.order)}: {self.pace}, {how}"

    @contextmanager
    def named(self, seed: int) -> Iterator[None]:
        """Say in a failure how it is tried again."""
        try:
            yield
        except BaseException as failed:
            failed.add_note(f"{self}; CROSSING={seed}")
            raise


SEED: Final = int(os.environ.get("CROSSING", "0")) or SystemClock().now().toordinal()
"""Which cases are tried, and the order of messages: others each day, or as in the environment."""
CASES: Final = tuple(
    Case(order, pace, is_disordered)
    for order in ORDERS
    for pace in PACES
    for is_disordered in (False, True)
)


def some_cases(seed: int) -> Sequence[Case]:
    """Return one case of each order, as *seed* has them."""
    drawn = shuffled(CASES, SeededEntropy(seed))
    return [*{case.order: case for case in drawn}.values()]


def cases_of_a_run(count: int) -> Sequence[Case]:
    """Return so many of all cases; with SWEEP=all in the environment every one of them."""
    return CASES if os.environ.get("SWEEP") == "all" else some_cases(SEED)[:count]


async def cross(place: Place, case: Case, *, seed: int = 1, strategy: str = "canary") -> None:
    """Do what *case* says in *place*: whenever it is quiet, what runs is whole."""
    disorder = SeededEntropy(seed) if case.is_disordered else None
    crossing = Crossing(place, disorder=disorder, strategy=strategy)
    await crossing.begin()
    for action in case.order:
        if action == "roll back" and case.pace == PACES[-1]:
            await crossing.roll_back_what_runs()
        else:
            await ACTIONS[action](crossing)
        if case.pace == PACES[0]:
            await crossing.be_whole()
    component = await crossing.be_whole()
    assert await crossing.refusals() <= REFUSED
    match case.order[-1]:
        # Nothing went back after it.
        case "release":
            newest = await place.component(f"program-{crossing.released}")
            assert component.digest == digest_of(newest)
        case "publish":
            assert component.configuration.hash == hash_of({"number": crossing.published})
        case "rotate":
            assert component.secret_versions["password"] == crossing.versions["password"][-1]


async def go_forward_and_back(place: Place, *, strategy: str = "canary") -> None:
    """Release a program, a configuration and versions of secrets together, and take them back.

    First a rollback is asked for, then the gate of the next release fails.
    """
    crossing = Crossing(place, strategy=strategy, mode="pinned")
    await crossing.begin()
    first = _unit(await crossing.assert_whole())
    await crossing.publish()
    await crossing.renew_secrets()
    await crossing.be_quiet()
    assert _unit(await crossing.assert_whole()) == first, "nothing of it goes alone"

    await crossing.release()
    await crossing.be_quiet()
    second = _unit(await crossing.assert_whole())
    await crossing.roll_back()
    await crossing.be_quiet()
    assert _unit(await crossing.assert_whole()) == first

    bad = await place.component(f"program-{crossing.released + 1}")
    place.world.health.bad.add(digest_of(bad))
    await crossing.release()
    await crossing.be_quiet()
    assert _unit(await crossing.assert_whole()) == first
    assert all(one != two for one, two in zip(first, second, strict=True))
    assert await crossing.refusals() == set()


def _unit(component: ReleasedComponent) -> tuple[str, str | None, Mapping[str, str]]:
    return component.digest, component.configuration.hash, component.secret_versions
