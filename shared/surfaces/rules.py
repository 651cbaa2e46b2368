"""Decisions every adapter of a surface makes alike: pure, so that they cannot differ."""

from collections.abc import Iterable, Mapping
from typing import Final

from shared.kernel.fence import Fence, StaleFence
from shared.surfaces.errors import (
    BadWeights,
    NotReady,
    RevisionDiffers,
    RevisionMissing,
    RouteTaken,
)
from shared.surfaces.observed_state import LiveRevision, Phase
from shared.surfaces.port import needed_ready
from shared.surfaces.spec import Component, RevisionSpec

WHOLE: Final = 100
"""Weights are percent."""


def admit(what: str, fence: Fence, highest: int) -> int:
    """Return the highest token after *fence* wrote to *what*.

    Raises:
        StaleFence: *fence* was overtaken.
    """
    if fence.token < highest:
        raise StaleFence(what, fence, highest)
    return fence.token


def check_revision(
    spec: RevisionSpec, present: RevisionSpec | None, others: Iterable[RevisionSpec]
) -> None:
    """Refuse *spec* if its number runs something else, or its prefix is of one of *others*.

    *others* are the revisions of the environment's other components.
    """
    if present is not None and not present.same_workload(spec):
        raise RevisionDiffers(
            f"revision {spec.revision} of {spec.component.module} is here with other content: "
            f"expected {present.artifact} and the spec it came with, got {spec.artifact}"
        )
    for other in others:
        if spec.path_prefix is not None and other.path_prefix == spec.path_prefix:
            raise RouteTaken(
                f"{spec.path_prefix} of the public port is {other.component.module}'s; "
                f"{spec.component.module} needs another prefix, or none",
                target="/pathPrefix",
            )


def check_weights(
    component: Component, weights: Mapping[int, int], revisions: Iterable[LiveRevision]
) -> dict[int, int]:
    """Return *weights* without those of 0, once ready capacity is there for all of them.

    Raises:
        BadWeights, RevisionMissing, NotReady.
    """
    wanted = {revision: percent for revision, percent in weights.items() if percent}
    if wanted and (min(wanted.values()) < 0 or sum(wanted.values()) != WHOLE):
        raise BadWeights(
            f"weights of {component.module} must be whole percents that add up to 100, "
            f"got {dict(weights)}",
            target="/weights",
        )
    live = {revision.revision: revision for revision in revisions}
    for number, percent in wanted.items():
        revision = live.get(number)
        if revision is None or revision.phase is Phase.DRAINING:
            state = "is being removed" if revision else "is not here"
            raise RevisionMissing(f"revision {number} of {component.module} {state}: apply it")
        needed = needed_ready(revision.replicas, percent)
        if revision.ready < needed:
            raise NotReady(component.module, number, ready=revision.ready, needed=needed)
    return wanted
