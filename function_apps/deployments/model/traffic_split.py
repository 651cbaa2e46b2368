"""The split of traffic over the revisions of a module: weight goes to ready capacity only.

A revision carries the percent of its instances that are ready; where rules or a policy scale it, of
their minimum, as what they have grown by is no loss before it is there. Forward and back follow one
rule: whoever is to have the traffic takes what it carries, and what nobody wanted goes to what is
ready.
So a fix lands when the version in force is dead, and a rollback never takes away what still serves.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId
from shared.kernel.dataclass import dataclass
from shared.surfaces.observed_state import LiveComponent, LiveRevision, Phase
from shared.surfaces.rules import WHOLE


@dataclass(frozen=True)
class Split:
    """Percent by release revision; `reason` says why it is not what the step asked for.

    `is_short`: what is in force could not carry its part.
    """

    weights: Mapping[int, int]
    reason: str = ""
    is_short: bool = False


Minimums = Mapping[int, int]
"""By release revision the recorded minimum, of those whose number scaling owns."""
CANNOT_START: Final = "CannotStart"
"""The reason of an instance that its surface has no room for, or cannot start otherwise."""
NO_MINIMUMS: Final[Minimums] = MappingProxyType({})


def minimums(*components: ReleasedComponent | None) -> Minimums:
    """Return the recorded minimum of each of *components* whose number scaling owns."""
    return {
        each.release_revision: each.replicas
        for each in components
        if each is not None and each.scaling_policy_revision
    }


def forward(
    weight: int,
    candidate: int,
    previous: int | None,
    live: LiveComponent,
    minimums: Minimums = NO_MINIMUMS,
) -> Split | None:
    """Return the split that gives *candidate* at least *weight* percent.

    It gets more where *previous* cannot carry the rest, and never less than it has. None when the
    ready instances of the candidate, or of all revisions together, are too few.
    """
    carried = carried_percents(live, minimums)
    current = live.weights.get(candidate, 0)
    asked = WHOLE if previous is None else max(weight, min(current, carried.get(candidate, 0)))
    if carried.get(candidate, 0) < asked:
        return None
    order = [(candidate, asked)]
    if previous is not None:
        order += [(previous, WHOLE), *_serving(live)]
    weights = _allot([*order, (candidate, WHOLE)], carried)
    if weights is None:
        return None
    share = weights[candidate]
    if previous is None or share == weight:
        return Split(weights)
    reason = f"revision {candidate} takes {share} % instead of {weight} %"
    if share == asked:
        return Split(weights, f"{reason}: it has that much already")
    revision = live.revision(previous)
    ready, replicas = (revision.ready, needed(revision, minimums)) if revision else (0, 0)
    lost = f"{ready} of {replicas} instances of revision {previous}, which is in force, are ready"
    return Split(weights, f"{reason}: {lost}", is_short=True)


def back(
    candidate: int | None, previous: int, live: LiveComponent, minimums: Minimums = NO_MINIMUMS
) -> Split | None:
    """Return the split with as much on *previous* as it carries, the rest on what is ready.

    What else serves comes before *candidate*, which is rolled back. None when the ready instances
    of all together are too few: then nothing is better than what there is.
    """
    others = [(number, share) for number, share in _serving(live) if number != candidate]
    order = [(previous, WHOLE), *others]
    if candidate is not None:
        order.append((candidate, WHOLE))
    weights = _allot(order, carried_percents(live, minimums))
    return None if weights is None else Split(weights)


def carried_percents(live: LiveComponent, minimums: Minimums = NO_MINIMUMS) -> Mapping[int, int]:
    """Return what each revision carries; one that is being removed carries nothing."""
    return {
        each.revision: min(WHOLE, WHOLE * each.ready // needed(each, minimums))
        for each in live.revisions
        if each.phase is not Phase.DRAINING and each.replicas
    }


def needed(revision: LiveRevision, minimums: Minimums) -> int:
    """Return how many ready instances carry all requests."""
    least = minimums.get(revision.revision)
    return revision.needed if least is None else max(1, min(revision.needed, least))


def _serving(live: LiveComponent) -> list[tuple[int, int]]:
    """Return what has traffic now, most of it first; each may take all."""
    ordered = sorted(live.weights, key=lambda number: -live.weights[number])
    return [(number, WHOLE) for number in ordered]


def _allot(
    order: Sequence[tuple[int, int]], carried: Mapping[int, int]
) -> Mapping[int, int] | None:
    weights: dict[int, int] = {}
    left = WHOLE
    for number, percent in order:
        has = weights.get(number, 0)
        share = min(percent - has, carried.get(number, 0) - has, left)
        if share > 0:
            weights[number] = has + share
            left -= share
    return None if left else weights


def is_whole(live: LiveComponent | None, component: ReleasedComponent) -> bool:
    """Return whether all instances of *component* are ready, or its job has ended well."""
    revision = live.revision(component.release_revision) if live else None
    return revision is not None and revision.phase in {Phase.READY, Phase.COMPLETE}


def has_no_room(revision: LiveRevision, component: ReleasedComponent) -> bool:
    """Return whether what *component* asks for is ready, and what it has beyond cannot start."""
    if revision.minimum is not None or not component.replicas <= revision.ready < revision.replicas:
        return False
    waiting = [each for each in revision.instances if not each.is_ready]
    return bool(waiting) and all(each.reason == CANNOT_START for each in waiting)


def live_replicas(live: LiveComponent | None, component: ReleasedComponent) -> int | None:
    """Return how many instances *component* has; None where it is gone, or on its way out."""
    revision = live.revision(component.release_revision) if live else None
    return None if revision is None or revision.phase is Phase.DRAINING else revision.replicas


def replicas_of(
    components: Iterable[ReleasedComponent], live: Mapping[ModuleId, LiveComponent]
) -> Mapping[ModuleId, int]:
    """Return how many instances each of *components* has that is live."""
    found = {each.module_id: live_replicas(live.get(each.module_id), each) for each in components}
    return {module: number for module, number in found.items() if number is not None}


def needs_apply(revision: LiveRevision | None, component: ReleasedComponent) -> bool:
    """Return whether *component* has to be applied to have its instances back."""
    if revision is None or revision.phase is Phase.DRAINING:
        return True
    return revision.replicas < component.replicas


def is_dead(revision: LiveRevision | None, since: datetime) -> bool:
    """Return whether *revision* has no ready instance, and none that was started after *since*.

    Whoever took instances away and started them again waits for those; one that failed by itself,
    or fails at every start, is not waited for.
    """
    if revision is None or not revision.instances or revision.ready:
        return False
    return not any(
        instance.restarts == 0 and instance.started_at >= since for instance in revision.instances
    )


def kept_revisions(
    live: LiveComponent, candidate: int | None, previous: int | None, *, is_previous_dead: bool
) -> frozenset[int]:
    """Return what is not removed at the end of a rollback: what has traffic, and what came back.

    Of a worker, which has no traffic to show it, what is ready stays where the previous version is
    dead: the candidate only when nothing else is.
    """
    kept = {number for number, percent in live.weights.items() if percent}
    if is_previous_dead and not kept:
        ready = {each.revision for each in live.revisions if each.ready}
        kept = ready - {candidate} or ready
    return frozenset(kept if previous is None else kept | {previous})
