"""The orchestration of a gate. Instance id = operationId."""

from typing import Final

from function_apps.health.activities import (
    GateVerdict,
    ObservationInput,
    begin_gate,
    conclude_gate,
    look_at_gate,
)
from function_apps.health.model import gates
from function_apps.health.model.gate_samples import Observation, Progress
from function_apps.health.use_cases.evaluate_gate import GateInput
from shared.durable.steps import OrchestrationTable, StepFailed, Steps, Story, call, sleep
from shared.kernel.clock import isoformat
from shared.kernel.errors import Unavailable

OBSERVATIONS_MAX: Final = 400
"""Bounds the history of a gate: over a long deadline its observations are rare.

A few more are made when the deadline moves because earlier ones failed.
"""


def evaluate_gate(story: Story) -> Steps[str]:
    """Observe both versions until there is a verdict, at the latest at the deadline."""
    given = GateInput.read(story.context.get_input())
    begun = yield from call(story, begin_gate, given)
    if begun.gate is None:
        return "AlreadyDecided"
    gate, progress = begun.gate, begun.progress
    left_s = (gate.deadline_at - story.now).total_seconds()
    every_s = max(begun.look_every_s, left_s / OBSERVATIONS_MAX)
    while progress.verdict is None:
        progress = yield from _observe(story, ObservationInput(given.tenant_id, gate, progress))
        if progress.verdict is None:
            left_s = gates.left_s(gate, progress, story.now)
            yield from sleep(story, min(every_s, max(left_s, begun.look_every_s)))
    verdict = yield from call(story, conclude_gate, GateVerdict(given, gate, progress))
    return verdict.value


def _observe(story: Story, given: ObservationInput) -> Steps[Progress]:
    """Observe once; an activity that fails is an observation with a problem."""
    try:
        return (yield from call(story, look_at_gate, given))
    except (Unavailable, StepFailed) as problem:
        failed = Observation(isoformat(story.now), problem=str(problem)[:200])
        return gates.judge(given.gate, given.progress, failed)


ORCHESTRATIONS: Final[OrchestrationTable] = {evaluate_gate: 1}
