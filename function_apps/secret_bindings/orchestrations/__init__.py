"""The orchestrations of secret_bindings: the steps of each operation, one a file."""

from typing import Final

from function_apps.secret_bindings.orchestrations.bind_secret import bind_secret
from function_apps.secret_bindings.orchestrations.rotate_secret import rotate_secret
from shared.durable.orchestration import OrchestratorTable

ORCHESTRATIONS: Final[OrchestratorTable] = {bind_secret: 1, rotate_secret: 1}
