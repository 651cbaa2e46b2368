"""How an environment is kept: the document's id and body."""

from collections.abc import Mapping
from typing import Any

from function_apps.environments.model.environment import RuntimeEnvironment, Spec
from function_apps.environments.model.states import State
from shared.contracts.environments import (
    ComputeTarget,
    ComputeTargetSpec,
    DataResourceSpec,
    UpdateOutcome,
)
from shared.contracts.values import IsolationModel, Reason


def to_body(environment: RuntimeEnvironment) -> dict[str, Any]:
    """Return the document body."""
    spec = environment.spec
    return {
        **vars(environment),
        "type": "environment",
        "spec": {
            "isolation_model": spec.isolation_model,
            "compute_targets": [_json(target) for target in spec.compute_targets],
            "data_resources": [_json(resource) for resource in spec.data_resources],
            "protected": spec.protected,
            "tags": dict(spec.tags),
            "admits": list(spec.admits),
        },
        "reason": _json(environment.reason) if environment.reason else None,
        "targets": [_json(target) for target in environment.targets],
        "outputs": dict(environment.outputs),
        "remaining": list(environment.remaining),
        "retain": list(environment.retain),
    }


def from_body(body: Mapping[str, Any]) -> RuntimeEnvironment:
    """Return the environment that *body* holds."""
    spec = body["spec"]
    update_outcome = body["last_update"]
    fields = {name: body[name] for name in RuntimeEnvironment.__dataclass_fields__}
    return RuntimeEnvironment(
        **{
            **fields,
            "status": State(body["status"]),
            "last_update": UpdateOutcome(update_outcome) if update_outcome else None,
            "reason": Reason.model_validate(body["reason"]) if body["reason"] else None,
            "targets": tuple(ComputeTarget.model_validate(each) for each in body["targets"]),
            "remaining": tuple(body["remaining"]),
            "retain": tuple(body["retain"]),
            "spec": Spec(
                isolation_model=IsolationModel(spec["isolation_model"]),
                compute_targets=tuple(
                    ComputeTargetSpec.model_validate(each) for each in spec["compute_targets"]
                ),
                data_resources=tuple(
                    DataResourceSpec.model_validate(each) for each in spec["data_resources"]
                ),
                protected=spec["protected"],
                tags=spec["tags"],
                admits=tuple(spec["admits"]),
            ),
        }
    )


def _json(value: ComputeTarget | ComputeTargetSpec | DataResourceSpec | Reason) -> dict[str, Any]:
    return value.model_dump(mode="json", by_alias=True)


def document_id(environment_id: str) -> str:
    return f"environment/{environment_id}"
