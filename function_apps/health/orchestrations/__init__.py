"""The orchestrations of health, each with its version."""

from typing import Final

from function_apps.health.orchestrations.evaluate_gate import evaluate_gate
from shared.durable.orchestration import OrchestratorTable

ORCHESTRATIONS: Final[OrchestratorTable] = {evaluate_gate: 1}
