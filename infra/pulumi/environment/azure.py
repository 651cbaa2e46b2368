"""The environment in Azure: foundation, then compute targets, then data resources."""

from collections.abc import Mapping
from typing import Any

from infra.pulumi.environment.compute import make_compute_target
from infra.pulumi.environment.data import make_data_resource
from infra.pulumi.environment.foundation import lay_foundation
from infra.pulumi.environment.settings import require_known
from shared.infrastructure.inputs import EnvironmentInputs


def azure_environment(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    """Declare the environment; every credential in it is the managed identity's."""
    require_known(inputs)
    ground = lay_foundation(inputs)
    targets = [make_compute_target(ground, target) for target in inputs.compute_targets]
    facts: dict[str, Any] = dict(ground.facts)
    for resource in inputs.data_resources:
        endpoint = make_data_resource(ground, resource)
        facts[f"data.{resource.name}.endpoint"] = endpoint
    return {"computeTargets": targets, "facts": facts}
