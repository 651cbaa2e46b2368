"""The order of looks at a gate, and nothing else. Instance id = operationId."""

from typing import Final

from function_apps.health.activities import (
    GateLook,
    GateVerdict,
    begin_gate,
    conclude_gate,
    look_at_gate,
)
from function_apps.health.model import gates
from function_apps.health.model.gate_samples import Observation, Progress
from function_apps.health.use_cases.evaluate_gate import GateErrand
from shared.durable.steps import OrchestrationTable, StepFailed, Steps, Story, call, sleep
from shared.kernel.clock import isoformat
from shared.kernel.errors import Unavailable

LOOKS_MAX: Final = 400
"""Bounds the history of one gate: looks are spread over long deadlines.

Twice as many where the gate cannot look, since that moves its deadline, up to once the time asked.
"""


def evaluate_gate(story: Story) -> Steps[str]:
    """Look at both versions until there is a verdict, at the latest at the deadline."""
    errand = GateErrand.read(story.context.get_input())
    begun = yield from call(story, begin_gate, errand)
    if begun.gate is None:
        return "AlreadyDecided"
    gate, progress = begun.gate, begun.progress
    left_s = (gate.deadline_at - story.now).total_seconds()
    every_s = max(begun.look_every_s, left_s / LOOKS_MAX)
    while progress.verdict is None:
        progress = yield from _look(story, GateLook(errand.tenant_id, gate, progress))
        if progress.verdict is None:
            left_s = gates.left_s(gate, progress, story.now)
            yield from sleep(story, min(every_s, max(left_s, begun.look_every_s)))
    verdict = yield from call(story, conclude_gate, GateVerdict(errand, gate, progress))
    return verdict.value


def _look(story: Story, look: GateLook) -> Steps[Progress]:
    """Look once; a look that could not be made has seen nothing, and the deadline still holds."""
    try:
        return (yield from call(story, look_at_gate, look))
    except (Unavailable, StepFailed) as problem:
        seen = Observation(isoformat(story.now), problem=str(problem)[:200])
        return gates.look(look.gate, look.progress, seen)


ORCHESTRATIONS: Final[OrchestrationTable] = {evaluate_gate: 1}
