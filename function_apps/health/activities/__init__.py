"""One idempotent step each; only the surface is read, nothing outside is changed."""

from function_apps.health.activities import judge_gate

ACTIVITIES = (judge_gate.begin_gate, judge_gate.observe_gate, judge_gate.conclude_gate)
