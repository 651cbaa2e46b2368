"""The environment program: inputs in, resources declared, outputs out; nothing else is read.

`pulumi up` runs it through `__main__.py`; the embedded engine evaluates it to a resource graph.
"""

from collections.abc import Mapping
from typing import Any

from shared.infrastructure.inputs import EnvironmentInputs


def environment(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    """Declare the environment and return the stack's outputs (`computeTargets`, `facts`)."""
    if inputs.is_local:
        from infra.pulumi.environment.local import local_environment  # noqa: PLC0415

        return local_environment(inputs)
    # 350 MB of SDK, installed by its own dependency group: only who needs it imports it.
    from infra.pulumi.environment.azure import azure_environment  # noqa: PLC0415

    return azure_environment(inputs)
