"""The steps of a rollout: a weight for all components each, with the gates that judge it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter

from shared.contracts.components import Component
from shared.contracts.deployments import StepShare
from shared.contracts.gates import GateEvidence, Verdict
from shared.contracts.strategies import RolloutDefaults, Strategy, StrategyKind, TrafficStep
from shared.contracts.values import Instant, ModuleId
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class RolloutStep:
    """One step. `gates` are the ids asked in the current attempt, one a component.

    `evidence` came back from them, and `looked_at` is when they were last polled. `away_s` adds
    up by how much those polls were late: nobody could poll. `shares` has the modules whose new
    version takes another part than `weight`.
    """

    index: int
    name: str
    weight: int
    pause_s: float = 0.0
    started_at: Instant | None = None
    asked_at: Instant | None = None
    deadline_at: Instant | None = None
    gates: tuple[str, ...] = ()
    evidence: tuple[GateEvidence, ...] = ()
    verdict: Verdict | None = None
    marked: bool = False
    ended_at: Instant | None = None
    shares: tuple[StepShare, ...] = ()
    looked_at: Instant | None = None
    away_s: float = 0.0

    def share_of(self, module: str) -> int:
        """Return the percent of *module*'s requests that go to its new version."""
        weights = (share.weight for share in self.shares if share.module_id == module)
        return next(weights, self.weight)

    @property
    def share(self) -> int:
        """Return the most that goes to a new version in this step."""
        return max([self.weight, *(share.weight for share in self.shares)])


def with_share(step: RolloutStep, share: StepShare) -> RolloutStep:
    """Return *step* with *share* in place of the one of its module."""
    others = [other for other in step.shares if other.module_id != share.module_id]
    return replace(step, shares=(*others, share))


def without_analysis(step: RolloutStep) -> RolloutStep:
    """Return *step* as it was before its gates were asked; one that passed stays."""
    if step.verdict is Verdict.PASS:
        return step
    return replace(
        step, asked_at=None, deadline_at=None, gates=(), evidence=(), verdict=None,
        marked=False, ended_at=None, looked_at=None, away_s=0.0,
    )  # fmt: skip


def steps_of(
    strategy: Strategy, defaults: RolloutDefaults, *, has_baseline: bool, has_components: bool
) -> tuple[RolloutStep, ...]:
    """Return the weights to go through; all at once where there is no baseline to compare with."""
    if not has_components:
        return ()
    steps: Sequence[TrafficStep] = strategy.steps or defaults.steps()
    if strategy.kind is StrategyKind.RECREATE or not has_baseline:
        steps = (TrafficStep(weight=100),)
    return tuple(
        RolloutStep(
            index,
            f"weight {step.weight} %",
            step.weight,
            (step.pause or timedelta(0)).total_seconds(),
        )
        for index, step in enumerate(steps)
    )


def order_of(components: Sequence[Component]) -> tuple[tuple[ModuleId, ...], tuple[ModuleId, ...]]:
    """Return the modules, dependencies first and otherwise as given; and a cycle, if there is one.

    Dependencies outside the deployment are there already and order nothing.
    """
    modules = [component.module_id for component in components]
    sorter: TopologicalSorter[ModuleId] = TopologicalSorter()
    for component in components:
        needed = [module for module in component.depends_on if module in modules]
        sorter.add(component.module_id, *needed)
    try:
        sorter.prepare()
    except CycleError as problem:
        cycle: list[ModuleId] = problem.args[1]
        return (), tuple(reversed(cycle))
    order: list[ModuleId] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=modules.index)
        order += ready
        sorter.done(*ready)
    return tuple(order), ()
