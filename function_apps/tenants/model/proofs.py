"""Proofs of isolation: what a look at a tenant's boundaries shows of each layer. Pure.

A look that the surface did not answer shows nothing: without that positive control a proof could
not have failed, and is Indeterminate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.contracts.environments import ComputeTarget
from shared.contracts.tenants import IsolationLayer, ProofVerdict, Quota
from shared.kernel.clock import isoformat
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import Boundary, bound_quota, quota_properties
from shared.surfaces.capabilities import Feature

SHOWN_BY: Final[Mapping[IsolationLayer, Feature]] = {
    IsolationLayer.COMPUTE: Feature.NAMESPACES,
    IsolationLayer.NETWORK: Feature.NETWORK_POLICY,
    IsolationLayer.QUOTA: Feature.QUOTAS,
}
"""The layers that a boundary shows, and of which surfaces."""
Look = tuple[ComputeTarget, Reading[Boundary]]
"""A surface of the environment, and the tenant's boundary as it is live there."""
BREACHED_AFTER: Final = 2
"""Looks in a row that find a boundary opened: one that is being written is not in force either."""
_NOT_ISOLATED: Final = ("no surface of the environment isolates this layer any more",)


@dataclass(frozen=True)
class LayerProof:
    """The last proof of one layer. `revision` counts those that were told, `opened` the looks."""

    layer: IsolationLayer
    verdict: ProofVerdict
    positive_control: bool
    checked_at: str
    evidence: tuple[str, ...] = ()
    revision: int = 0
    opened: int = 0


@dataclass(frozen=True)
class Finding:
    """A layer as one look shows it: kept, opened, or None where the look shows nothing of it."""

    layer: IsolationLayer
    is_kept: bool | None
    evidence: tuple[str, ...]


def findings(looks: Sequence[Look], quota: Quota) -> Sequence[Finding]:
    """Return what *looks* show of each layer that a boundary of one of the surfaces shows."""
    wanted = _wanted(quota)
    found = []
    for layer, feature in SHOWN_BY.items():
        if layer is IsolationLayer.QUOTA and not wanted:
            continue
        each = [
            _of_surface(layer, target.kind, look, wanted)
            for target, look in looks
            if feature in target.capabilities
        ]
        if each:
            found.append(_finding(layer, each))
    return found


def _finding(layer: IsolationLayer, each: Sequence[tuple[bool | None, str]]) -> Finding:
    evidence = tuple(text for _, text in each)
    kept = {is_kept for is_kept, _ in each}
    if False in kept:
        return Finding(layer, False, evidence)
    return Finding(layer, None if None in kept else True, evidence)


def _of_surface(
    layer: IsolationLayer, name: str, look: Reading[Boundary], wanted: Mapping[str, str]
) -> tuple[bool | None, str]:
    match look:
        case Unknown(reason):
            return None, f"{name} did not answer: {reason}"[:500]
        case Absent():
            return False, f"{name} has no boundary of the tenant"
        case Present(boundary) if layer is IsolationLayer.QUOTA:
            live = {path: boundary.properties.get(path, "none") for path in wanted}
            differing = [f"{path} is {live[path]}, not {wanted[path]}" for path in wanted
                         if live[path] != wanted[path]]  # fmt: skip
            return not differing, f"{boundary.name}: " + ("; ".join(differing) or "as it is bound")
        case Present(boundary) if layer is IsolationLayer.NETWORK:
            state = "closed" if boundary.is_ready else "opened, or a part of it is missing"
            return boundary.is_ready, f"{boundary.name} is {state}"
        case Present(boundary):
            return True, f"{boundary.name} is there"


def _wanted(quota: Quota) -> Mapping[str, str]:
    """Return the quota by the paths of a boundary's live properties."""
    return quota_properties(bound_quota(quota))


def judge(
    known: Sequence[LayerProof], found: Sequence[Finding], now: datetime
) -> tuple[tuple[LayerProof, ...], tuple[LayerProof, ...]]:
    """Return the proofs after *found*, and those of them that are news.

    A layer that nothing isolates any more, so that none is in *found*, passes: no later look could
    end its breach. Its positive control are the environment's targets, which would have named the
    surface to look at.
    """
    before = {proof.layer: proof for proof in known}
    layers = {finding.layer for finding in found}
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
    for finding in found:
        last = before.get(finding.layer)
        proof = _proof(last, finding, now)
        if last is None or proof.verdict is not last.verdict:
            proof = replace(proof, revision=proof.revision + 1)
            news.append(proof)
        after[finding.layer] = proof
    return tuple(after.values()), tuple(news)


def _proof(last: LayerProof | None, finding: Finding, now: datetime) -> LayerProof:
    opened = (last.opened if last else 0) + 1 if finding.is_kept is False else 0
    if finding.is_kept:
        verdict = ProofVerdict.PASS
    elif opened >= BREACHED_AFTER:
        verdict = ProofVerdict.BREACH
    else:
        verdict = ProofVerdict.INDETERMINATE
    return LayerProof(
        finding.layer,
        verdict,
        finding.is_kept is not None,
        isoformat(now),
        finding.evidence,
        last.revision if last else 0,
        opened,
    )
