"""One idempotent step each; only the surface is read, nothing outside is changed."""

from typing import Final

from function_apps.health.activities import judge_gate

ACTIVITIES: Final = (judge_gate.begin_gate, judge_gate.observe_gate, judge_gate.conclude_gate)
