"""The decisions that all surface adapters share: pure functions, so that adapters agree."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from shared.kernel.errors import Invalid
from shared.kernel.fence import Fence, StaleFence
from shared.kernel.ids import TenantId
from shared.surfaces.errors import (
    BadWeights,
    NotReady,
    PathNotOwned,
    RevisionDiffers,
    RevisionMissing,
    RouteTaken,
    StillWeighted,
)
from shared.surfaces.observed_state import LiveRevision, Phase
from shared.surfaces.port import needed_ready
from shared.surfaces.shown_words import ANOTHER, may_be_secret
from shared.surfaces.spec import RevisionSpec, SurfaceComponent

WHOLE: Final = 100
"""Weights are percent."""


def check_fence(subject: str, fence: Fence, highest: int) -> int:
    """Return the highest token once *fence* has written to *subject*.

    Raises:
        StaleFence: a newer token has written before.
    """
    if fence.token < highest:
        raise StaleFence(subject, fence, highest)
    return fence.token


def check_revision(
    spec: RevisionSpec,
    present: RevisionSpec | None,
    others: Iterable[RevisionSpec],
    owner: TenantId,
) -> None:
    """Refuse *spec* if its revision has other content, or a path prefix that it cannot have.

    *others* are the revisions of the environment's other components, *owner* is its tenant. What
    is there with a prefix from before may be applied again; no request reaches it by that.

    Raises:
        RevisionDiffers, RouteTaken, PathNotOwned.
    """
    if present is not None and not present.same_workload(spec):
        raise RevisionDiffers(
            f"revision {spec.revision} of {spec.component.module} exists with other content: "
            f"expected {present.artifact} and its spec, got {spec.artifact}"
        )
    if present is None and spec.path_prefix != public_prefix(spec, owner):
        raise PathNotOwned(spec.component.module)
    for other in others:
        is_public = public_prefix(other, owner) is not None
        if is_public and other.path_prefix == public_prefix(spec, owner):
            raise RouteTaken(
                f"{other.component.module} has {spec.path_prefix} on the public port; "
                f"{spec.component.module} needs another prefix, or none",
                target="/pathPrefix",
            )


def public_prefix(spec: RevisionSpec, owner: TenantId) -> str | None:
    """Return the path prefix by which requests reach *spec* in the environment of *owner*."""
    return spec.path_prefix if spec.component.tenant == owner else None


def check_weights(
    component: SurfaceComponent, weights: Mapping[int, int], revisions: Iterable[LiveRevision]
) -> dict[int, int]:
    """Return *weights* without zeros, if every revision has the ready capacity for its share.

    Raises:
        BadWeights, RevisionMissing, NotReady.
    """
    positive = {revision: percent for revision, percent in weights.items() if percent}
    if positive and (min(positive.values()) < 0 or sum(positive.values()) != WHOLE):
        raise BadWeights(
            f"weights of {component.module} must be whole percents that add up to 100, "
            f"got {dict(weights)}",
            target="/weights",
        )
    live = {revision.revision: revision for revision in revisions}
    for number, percent in positive.items():
        revision = live.get(number)
        if revision is None or revision.phase is Phase.DRAINING:
            state = "is being removed" if revision else "does not exist here"
            raise RevisionMissing(f"revision {number} of {component.module} {state}: apply it")
        needed = needed_ready(revision.needed, percent)
        if revision.ready < needed:
            raise NotReady(component.module, number, ready=revision.ready, needed=needed)
    return positive


def check_scalable(spec: RevisionSpec) -> None:
    """Refuse to change the number of what runs to its end, or to replace it.

    Raises:
        Invalid.
    """
    if spec.ends:
        raise Invalid(
            f"revision {spec.revision} of {spec.component.module} runs to its end: it has one"
            " instance, which is neither scaled nor restarted",
            target="/replicas",
        )


def drain_ends_at(
    spec: RevisionSpec, removed_at: datetime, weightless_at: datetime | None
) -> datetime:
    """Return when a removed revision has drained; the drain begins when its weight is 0."""
    drain_began_at = max(removed_at, weightless_at or removed_at)
    return drain_began_at + timedelta(seconds=spec.drain_s)


def departures(*facts: tuple[str, object, object]) -> tuple[str, ...]:
    """Return a sentence for each fact (name, live, expected) whose live value is not expected.

    A live value that may be secret is not said.
    """
    return tuple(
        f"{name} is {_shown(name, live)}, expected {expected}"
        for name, live, expected in facts
        if live != expected
    )


def _shown(name: str, live: object) -> object:
    return ANOTHER if isinstance(live, str) and live and may_be_secret(name, live) else live


def check_removal(component: SurfaceComponent, revision: int, weights: Mapping[int, int]) -> None:
    """Refuse to remove a revision that has traffic.

    Raises:
        StillWeighted.
    """
    if percent := weights.get(revision):
        raise StillWeighted(
            f"revision {revision} of {component.module} has {percent} % of the traffic: "
            "set its weight to 0 first"
        )
