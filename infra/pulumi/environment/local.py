"""The environment on what its installation runs on: `local_program` as Pulumi resources.

The types have no provider plugin, so only the embedded engine can apply them.
"""

from collections.abc import Mapping
from typing import Any, Final

import pulumi

from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.local_program import (
    KUBERNETES_SITE,
    SERVER,
    SERVER_FACTS,
    SITE,
    VOLUME,
    VOLUME_FACTS,
    Declaration,
    OutputOf,
    declarations,
    outputs,
)

OUTPUTS: Final = {
    SITE: ("endpoint",),
    KUBERNETES_SITE: ("endpoint",),
    VOLUME: VOLUME_FACTS,
    SERVER: (*SERVER_FACTS, "verifier"),
}


class LocalResource(pulumi.CustomResource):
    """A site, or what keeps data on this machine."""

    def __init__(
        self, declared: Declaration, properties: Mapping[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        later = dict.fromkeys(OUTPUTS[declared.type])
        super().__init__(declared.type, declared.name, {**properties, **later}, opts)


def local_environment(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    """Declare what keeps the environment's data, and its sites."""
    made: dict[str, pulumi.Resource] = {}
    for declared in declarations(inputs):
        opts = pulumi.ResourceOptions(
            parent=made.get(declared.parent or ""),
            protect=declared.protected,
            replace_on_changes=list(declared.replace_on),
            ignore_changes=list(declared.ignore),
        )
        properties = _with_outputs(declared.properties, made)
        if declared.is_component:
            made[declared.name] = pulumi.ComponentResource(
                declared.type, declared.name, properties, opts
            )
        else:
            made[declared.name] = LocalResource(declared, properties, opts)
    return dict(_with_outputs(outputs(inputs), made))


def _with_outputs(value: Any, made: Mapping[str, pulumi.Resource]) -> Any:
    match value:
        case OutputOf(name, output):
            return getattr(made[name], output)
        case Mapping():
            return {key: _with_outputs(inner, made) for key, inner in value.items()}
        case list():
            return [_with_outputs(inner, made) for inner in value]
        case _:
            return value
