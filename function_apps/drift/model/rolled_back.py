"""Releases of an environment that were rolled back, and those that were completed since. Pure.

What was rolled back is not to be deployed again, until it was deployed all the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shared.contracts.deployments import RuntimeDeploymentCompleted, RuntimeDeploymentRolledBack
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

RELEASES_KEPT: Final = 1_000
"""Of those that were completed, and of holds that have ended: an environment has one document, of a
megabyte, and any number of modules. Another is old enough for its late event to be heard as new.
"""


@dataclass(frozen=True)
class RolledBackRelease:
    """A release of a module that was rolled back, and is not to be deployed again."""

    version: str
    digest: str
    held_at: str = ""
    has_ended: bool = False
    """It was deployed later; it stays known, so that no older one that is heard then is on hold."""


@dataclass(frozen=True)
class CompletedRelease:
    """A release of a module whose deployment was completed."""

    version: str
    digest: str
    ended_at: str

    def ends(self, rolled_back: RolledBackRelease) -> bool:
        """Return whether it was deployed after it was *rolled_back*, which ends the hold."""
        is_same = (self.version, self.digest) == (rolled_back.version, rolled_back.digest)
        return is_same and self.ended_at > rolled_back.held_at


def with_holds(
    rolled_back: Mapping[str, RolledBackRelease],
    completed: Mapping[str, CompletedRelease],
    event: RuntimeDeploymentRolledBack,
) -> Mapping[str, RolledBackRelease]:
    """Return *rolled_back*, by module, with the holds of *event* that are the newest."""
    after = dict(rolled_back)
    for each in event.holds:
        if each.version is None:
            continue
        new = RolledBackRelease(each.version, each.digest, isoformat(each.held_at))
        known, last = after.get(each.module_id), completed.get(each.module_id)
        if known is None or known.held_at <= new.held_at:
            after[each.module_id] = replace(new, has_ended=last is not None and last.ends(new))
    return _without_old_ends(after)


def with_completed(
    rolled_back: Mapping[str, RolledBackRelease],
    completed: Mapping[str, CompletedRelease],
    event: RuntimeDeploymentCompleted,
) -> tuple[Mapping[str, RolledBackRelease], Mapping[str, CompletedRelease]]:
    """Return both after *event*: what was deployed is held no more, as nobody else tells so."""
    held, done = dict(rolled_back), dict(completed)
    for each in event.release_unit.components:
        new = CompletedRelease(each.version, each.digest, isoformat(event.ended_at))
        known = done.get(each.module_id)
        if known is None or known.ended_at <= new.ended_at:
            done[each.module_id] = new
        last = held.get(each.module_id)
        if last is not None and new.ends(last):
            held[each.module_id] = replace(last, has_ended=True)
    old = all_but_newest({name: each.ended_at for name, each in done.items()}, RELEASES_KEPT)
    forgotten = {*event.release_unit.removed, *old}
    kept = {name: each for name, each in done.items() if name not in forgotten}
    return _without_old_ends(held), kept


def _without_old_ends(
    rolled_back: Mapping[str, RolledBackRelease],
) -> Mapping[str, RolledBackRelease]:
    """Return *rolled_back* without the oldest of many that have ended."""
    ended = {name: each.held_at for name, each in rolled_back.items() if each.has_ended}
    old = all_but_newest(ended, RELEASES_KEPT)
    return {name: each for name, each in rolled_back.items() if name not in old}


def all_but_newest(times: Mapping[str, str], kept: int) -> set[str]:
    """Return the names in *times* without the *kept* of the latest times."""
    return {*sorted(times, key=times.__getitem__)[:-kept]}
