"""Proofs of isolation: what looks at a tenant's boundaries, and attempts, show. Pure.

A look that the surface did not answer shows nothing, and neither does an attempt of a process that
could not do what it must: without that positive control a proof could not have failed, and is
Indeterminate.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from shared.contracts.alerts import AlertSubject
from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.tenants import ProofVerdict
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import (
    Boundary,
    bound_quota,
    full_measures,
    quota_properties,
)
from shared.surfaces.capabilities import Feature
from shared.surfaces.isolation_attempts import TRIED, LayerAttempts, how_tried, tries_quota

SHOWN_BY: Final[Mapping[IsolationLayer, Feature]] = {
    IsolationLayer.COMPUTE: Feature.NAMESPACES,
    IsolationLayer.NETWORK: Feature.NETWORK_POLICY,
    IsolationLayer.QUOTA: Feature.QUOTAS,
}
"""The layers that a boundary shows, and of which surfaces."""
Look = tuple[ComputeTarget, Reading[Boundary]]
"""A surface of the environment, and the tenant's boundary as it is live there."""
TargetAttempts = tuple[ComputeTarget, Reading[tuple[LayerAttempts, ...]]]
"""A surface of the environment, and what was tried there."""
BREACHED_AFTER: Final = 2
"""Looks in a row that find a boundary opened: one that is being written is not in force either."""
_EVIDENCE_MAX: Final = 500
_NOTHING: Final = "it reached nothing of others"
_NO_MORE: Final = "it got no more than its quota"
_AS_BOUND: Final = "has the quota of the binding"
_ENDED: Final = ("the tenant is not bound any more",)
_NOT_ISOLATED: Final = ("no surface of the environment isolates this layer any more",)


@dataclass(frozen=True)
class LayerProof:
    """The last proof of one layer. `revision` counts those that were told, `opened` the looks.

    `raised_at` is since when its alert is raised: from a Breach until it passes again.
    """

    layer: IsolationLayer
    verdict: ProofVerdict
    positive_control: bool
    checked_at: str
    evidence: tuple[str, ...] = ()
    revision: int = 0
    opened: int = 0
    raised_at: str | None = None


@dataclass(frozen=True)
class ProofResult:
    """A layer as one look shows it: kept, opened, or None where the look shows nothing of it."""

    layer: IsolationLayer
    is_kept: bool | None
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class FullQuota:
    """A surface that has nothing left of these measures of a tenant's quota."""

    target: ComputeTargetKind
    measures: tuple[str, ...]


def proof_results(
    looks: Sequence[Look], quota: Quota, attempts: Sequence[TargetAttempts] = ()
) -> Sequence[ProofResult]:
    """Return what *looks* show of each layer that a boundary shows, and *attempts* of others."""
    wanted = _wanted(quota)
    shown: dict[IsolationLayer, list[tuple[bool | None, str]]] = {}
    for layer, feature in SHOWN_BY.items():
        if layer is IsolationLayer.QUOTA and not wanted:
            continue
        for target, look in looks:
            if feature in target.capabilities:
                seen = _of_surface(layer, target, look, wanted)
                shown.setdefault(layer, []).append(seen)
    for target, reading in attempts:
        for layer, is_kept, evidence in _of_attempts(target.kind, reading, _to_try(target, quota)):
            shown.setdefault(layer, []).append((is_kept, evidence[:_EVIDENCE_MAX]))
    return [_result(layer, each) for layer, each in shown.items()]


def full_quotas(
    looks: Sequence[Look], quota: Quota, before: Sequence[FullQuota]
) -> tuple[FullQuota, ...]:
    """Return each surface in *looks* that has nothing left of a measure of *quota*.

    Of one that did not answer what *before* says of it: that may be so for good, where this
    installation has no setting for it, and keeps nothing from being shown of the others.
    """
    known = {each.target: each.measures for each in before}

    def measures(target: ComputeTarget, look: Reading[Boundary]) -> tuple[str, ...]:
        match look:
            case Present(boundary):
                return full_measures(bound_quota(quota), boundary.used)
            case Unknown():
                return known.get(target.kind, ())
            case Absent():
                return ()

    full = [FullQuota(target.kind, measures(target, look)) for target, look in looks]
    return tuple(each for each in full if each.measures)


def _to_try(target: ComputeTarget, quota: Quota) -> Sequence[IsolationLayer]:
    """Return the layers that are to be tried on *target*, with those of *quota*."""
    has_limit = Feature.QUOTAS in target.capabilities and tries_quota(target.kind, quota)
    layers = TRIED.get(target.kind, ())
    return [each for each in layers if has_limit or each is not IsolationLayer.QUOTA]


def _of_attempts(
    target: ComputeTargetKind,
    reading: Reading[tuple[LayerAttempts, ...]],
    layers: Sequence[IsolationLayer],
) -> Iterator[tuple[IsolationLayer, bool | None, str]]:
    """Yield of each layer whether nothing was reached, and the evidence.

    Of each of *layers*, also where the reading has nothing of it: a layer that is left out would
    pass by a look alone, or as one that nothing isolates any more.
    """
    named: set[IsolationLayer] = set()
    why = "said nothing of it"
    match reading:
        case Present(attempts):
            named = {each.layer for each in attempts}
            for each in attempts:
                how = how_tried(target, each.layer)
                if each.inconclusive_because:
                    said = f"{target} could not be tried {how}: {each.inconclusive_because}"
                    yield each.layer, None, said
                elif each.reached:
                    yield each.layer, False, f"{target} was tried {how}: {'; '.join(each.reached)}"
                else:
                    kept = _NO_MORE if each.layer is IsolationLayer.QUOTA else _NOTHING
                    yield each.layer, True, f"{target} was tried {how}: {kept}"
        case Unknown(reason):
            why = f"did not answer: {reason}"
        case Absent():
            why = "has nothing of the environment"
    for layer in layers:
        if layer not in named:
            yield layer, None, f"{target} was to try it {how_tried(target, layer)}, and {why}"


def _result(layer: IsolationLayer, each: Sequence[tuple[bool | None, str]]) -> ProofResult:
    evidence = tuple(text for _, text in each)
    kept = {is_kept for is_kept, _ in each}
    if False in kept:
        return ProofResult(layer, False, evidence)
    return ProofResult(layer, None if None in kept else True, evidence)


def _of_surface(
    layer: IsolationLayer, target: ComputeTarget, look: Reading[Boundary], wanted: Mapping[str, str]
) -> tuple[bool | None, str]:
    match look:
        case Unknown(reason):
            return None, f"{target.kind} was asked for the boundary, and did not answer: {reason}"[
                :_EVIDENCE_MAX
            ]
        case Absent():
            return False, f"{target.kind} was asked for the boundary of the tenant, and has none"
        case Present(boundary) if layer is IsolationLayer.QUOTA:
            live = {path: boundary.properties.get(path, "none") for path in wanted}
            differing = [f"{path} is {live[path]}, not {wanted[path]}" for path in wanted
                         if live[path] != wanted[path]]  # fmt: skip
            said = f"differs from the binding: {'; '.join(differing)}" if differing else _AS_BOUND
            return not differing, f"{boundary.name} {said}"
        case Present(boundary) if layer is IsolationLayer.NETWORK:
            state = "is closed" if boundary.is_ready else "was opened, or a part of it is missing"
            if Feature.ISOLATION_ATTEMPTS not in target.capabilities:
                state += "; that was read only, and nothing tries it from inside"
            return boundary.is_ready, f"{boundary.name} {state}"
        case Present(boundary):
            return True, f"{boundary.name} is there, a namespace of the tenant's own"


def _wanted(quota: Quota) -> Mapping[str, str]:
    """Return the quota by the paths of a boundary's live properties."""
    return quota_properties(bound_quota(quota))


def judge(
    known: Sequence[LayerProof], found: Sequence[ProofResult], now: datetime
) -> tuple[tuple[LayerProof, ...], tuple[LayerProof, ...]]:
    """Return the proofs after *found*, and those of them that are news.

    A layer that nothing isolates any more, so that none is in *found*, passes: no later look could
    end its breach. Its positive control are the environment's targets, which would have named the
    surface to look at.
    """
    before = {proof.layer: proof for proof in known}
    layers = {result.layer for result in found}
    after, news = dict(before), []
    for proof in known:
        has_passed = proof.verdict is ProofVerdict.PASS and proof.positive_control
        if proof.layer not in layers and not has_passed:
            passed = LayerProof(
                proof.layer, ProofVerdict.PASS, True, isoformat(now), _NOT_ISOLATED,
                proof.revision + 1,
            )  # fmt: skip
            after[proof.layer] = passed
            news.append(passed)
    for result in found:
        last = before.get(result.layer)
        proof = _proof(last, result, now)
        if last is None or proof.verdict is not last.verdict:
            proof = replace(proof, revision=proof.revision + 1)
            news.append(proof)
        after[result.layer] = proof
    return tuple(after.values()), tuple(news)


def without_alerts(known: Sequence[LayerProof], now: datetime) -> tuple[LayerProof, ...]:
    """Return the proofs of a binding that has ended: nothing of them alarms anybody any more."""
    return tuple(
        replace(
            each, verdict=ProofVerdict.INDETERMINATE, positive_control=False, evidence=_ENDED,
            checked_at=isoformat(now), revision=each.revision + 1, opened=0, raised_at=None,
        )
        if each.raised_at
        else each
        for each in known
    )  # fmt: skip


def _proof(last: LayerProof | None, result: ProofResult, now: datetime) -> LayerProof:
    opened, verdict = last.opened if last else 0, ProofVerdict.INDETERMINATE
    if result.is_kept:
        opened, verdict = 0, ProofVerdict.PASS
    # Not by one that shows nothing, else every second of those would hide a breach.
    elif result.is_kept is False:
        opened += 1
        verdict = ProofVerdict.BREACH if opened >= BREACHED_AFTER else verdict
    return LayerProof(
        result.layer,
        verdict,
        result.is_kept is not None,
        isoformat(now),
        result.evidence,
        last.revision if last else 0,
        opened,
        _raised_at(last, verdict, now),
    )


def _raised_at(last: LayerProof | None, verdict: ProofVerdict, now: datetime) -> str | None:
    raised_at = last.raised_at if last else None
    if verdict is ProofVerdict.BREACH:
        return raised_at or isoformat(now)
    return raised_at if verdict is ProofVerdict.INDETERMINATE else None


def alert_subject(binding_id: str, environment_id: str, proof: LayerProof) -> AlertSubject:
    """Return the layer of *proof* as what alerts are of."""
    return AlertSubject(f"{binding_id}/{proof.layer}", environment_id)
