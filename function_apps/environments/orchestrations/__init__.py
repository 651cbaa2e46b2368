"""The order of the steps of each operation; one orchestration a file."""

from typing import Final

from function_apps.environments.orchestrations.apply_environment import apply_environment
from function_apps.environments.orchestrations.decommission_environment import (
    decommission_environment,
)
from function_apps.environments.orchestrations.isolate_tenant import isolate_tenant
from function_apps.environments.orchestrations.remove_tenant import remove_tenant
from shared.durable.orchestration import OrchestratorTable

ORCHESTRATIONS: Final[OrchestratorTable] = {
    apply_environment: 1,
    decommission_environment: 1,
    isolate_tenant: 1,
    remove_tenant: 1,
}
