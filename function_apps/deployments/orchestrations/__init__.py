"""The order of the steps of a rollout and of a drain; one orchestration a file."""

from typing import Final

from function_apps.deployments.orchestrations.drain_environment import drain_environment
from function_apps.deployments.orchestrations.roll_out_release import roll_out_release
from shared.durable.orchestration import OrchestratorTable

ORCHESTRATIONS: Final[OrchestratorTable] = {roll_out_release: 1, drain_environment: 1}
