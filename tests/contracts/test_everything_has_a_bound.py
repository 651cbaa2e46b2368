import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from shared.contracts.deployments import (
    DeploymentKind,
    DeploymentStatus,
    RuntimeDeploymentCompleted,
)
from shared.contracts.releases import (
    ConfigurationPin,
    InstanceProof,
    Proof,
    ReleasedComponent,
    ReleaseUnit,
    Routing,
)
from shared.contracts.strategies import StrategyKind
from shared.contracts.values import (
    COMPONENTS_MAX,
    EVENT_BYTES_MAX,
    ComponentType,
    ComputeTargetKind,
    Probe,
    Probes,
    Stage,
)
from shared.kernel import ids
from tests.contracts.published import TYPES

AT = datetime(2026, 11, 24, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
K = ids.EnvironmentKey("a" * 12)
M = ids.ModuleKey("b" * 10)


def unbounded(schema: Any, at: str = "") -> Iterator[str]:
    """Yield where *schema* lets a string, list or map be as long as it likes."""
    if isinstance(schema, list):
        for index, part in enumerate(schema):
            yield from unbounded(part, f"{at}/{index}")
    if not isinstance(schema, Mapping):
        return
    match schema:
        case {"type": "string"} if not is_bounded(schema):
            yield at
        case {"type": "array"} if "maxItems" not in schema:
            yield at
        case {"type": "object"} if "properties" not in schema and "maxProperties" not in schema:
            yield at
        case _:
            pass
    for name, part in schema.items():
        yield from unbounded(part, f"{at}/{name}")


def is_bounded(schema: Mapping[str, Any]) -> bool:
    fixed = {"maxLength", "enum", "const", "format"} & schema.keys()
    return bool(fixed) or not re.search(r"(?<!\\)[*+]", schema.get("pattern", "*"))


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_string_list_and_map_has_a_bound(kind: type[BaseModel]) -> None:
    assert list(unbounded(kind.model_json_schema())) == []


def module(index: int) -> ids.ModuleId:
    return ids.ModuleId(f"module-a-name-of-realistic-length-{index:02d}")


def component(index: int) -> ReleasedComponent:
    probe = Probe(path="/health/ready")
    return ReleasedComponent(
        module_id=module(index),
        service_id=ids.service_id(K, M),
        release_revision=100_000 + index,
        component_type=ComponentType.MICROSERVICE,
        version="2026.11.24-rc.1",
        image="registry.example.azurecr.io/team/product/service@" + DIGEST,
        digest=DIGEST,
        compute_target=ComputeTargetKind.CONTAINER_APPS,
        endpoint="https://a-name-of-realistic-length.westeurope.azurecontainerapps.io",
        port=8080,
        command=("python", "-m", "service", "--port", "$PORT"),
        environ={f"SETTING_NUMBER_{number}": "a value of some length" for number in range(10)},
        probes=Probes(startup=probe, readiness=probe, liveness=probe),
        depends_on=tuple(module(other) for other in range(5)),
        replicas=20,
        configuration=ConfigurationPin(tenant=9, environment=99, module=999, hash=DIGEST),
        secret_versions={f"secret-number-{number}": "f" * 32 for number in range(10)},
        scaling_policy_revision=99,
        routing=Routing(weights={"100000": 100}),
    )


def test_the_largest_event_fits_a_message_with_its_envelope() -> None:
    """25 components and 100 proofs: what is longer is a blob named by digest."""
    proof = InstanceProof(
        module_id=module(0),
        instance="a-name-of-realistic-length-5f7d8c9b4-x2x4z",
        release_revision=100_000,
        digest=DIGEST,
        configuration_hash=DIGEST,
        secret_versions={f"secret-number-{number}": "f" * 32 for number in range(10)},
        checked_at=AT,
    )
    deployment = ids.DeploymentId("dep-" + K + "-" + "0" * 16)
    event = RuntimeDeploymentCompleted(
        aggregate_id=deployment,
        revision=50,
        deployment_id=deployment,
        environment_id=ids.environment_id(K),
        project_id=ids.ProjectId("proj-shop"),
        stage=Stage.PROD,
        kind=DeploymentKind.RELEASE,
        release_ref="2026.11.24",
        strategy=StrategyKind.CANARY,
        status=DeploymentStatus.COMPLETED,
        modules=tuple(module(index) for index in range(COMPONENTS_MAX)),
        release_unit=ReleaseUnit(components=tuple(component(i) for i in range(COMPONENTS_MAX))),
        proof=Proof(instances=(proof,) * 100, total=2500, whole=True, blob=DIGEST),
        ended_at=AT,
    )

    size = len(event.model_dump_json().encode())

    assert size < EVENT_BYTES_MAX
    assert size > EVENT_BYTES_MAX / 3, "the example no longer shows what is large"


def test_a_list_over_its_bound_is_refused() -> None:
    document = json.loads(ReleaseUnit(components=(component(0),)).model_dump_json())
    document["components"] *= COMPONENTS_MAX + 1

    with pytest.raises(ValueError, match="at most 25"):
        ReleaseUnit.model_validate_json(json.dumps(document))
