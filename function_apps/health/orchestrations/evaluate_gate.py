"""Evaluate a gate: observe both versions until there is a verdict, then answer."""

from typing import Final

from function_apps.health.activities.judge_gate import begin_gate, conclude_gate, observe_gate
from function_apps.health.model import gates
from function_apps.health.model.gate_samples import Observation, Progress
from shared.contracts.gates import EvaluateGate
from shared.durable.orchestration import (
    ActivityFailed,
    Orchestration,
    OrchestrationContext,
    UndoTable,
    call,
    sleep,
)
from shared.kernel.clock import isoformat
from shared.kernel.errors import Unavailable

UNDO: Final[UndoTable] = {
    begin_gate: "changes nothing outside",
    observe_gate: "changes nothing outside",
    conclude_gate: "changes nothing outside",
}
OBSERVATIONS_MAX: Final = 400
"""Bounds the history of a gate: over a long deadline its observations are rare.

A few more are made when the deadline moves because earlier ones failed.
"""


def evaluate_gate(context: OrchestrationContext) -> Orchestration[str]:
    """Observe both versions until there is a verdict, at the latest at the deadline."""
    begun = yield from call(context, begin_gate)
    gate, progress = begun.gate, begun.progress
    left_s = (gate.deadline_at - context.now).total_seconds()
    every_s = max(begun.observe_every_s, left_s / OBSERVATIONS_MAX)
    while progress.verdict is None:
        progress = yield from _observe(context, gate, progress)
        if progress.verdict is None:
            left_s = gates.left_s(gate, progress, context.now)
            yield from sleep(context, min(every_s, max(left_s, begun.observe_every_s)))
    verdict = yield from call(context, conclude_gate, progress)
    return verdict.value


def _observe(
    context: OrchestrationContext, gate: EvaluateGate, progress: Progress
) -> Orchestration[Progress]:
    """Observe once; an activity that fails is an observation with a problem."""
    try:
        return (yield from call(context, observe_gate, progress))
    except (Unavailable, ActivityFailed) as problem:
        failed = Observation(isoformat(context.now), problem=problem.message[:200])
        return gates.judge(gate, progress, failed)
