"""What events say of an environment itself and of its tenant's binding: the newest holds."""

from typing import Any, Final

import pytest

from function_apps.drift.model.environment_content import (
    BoundTenant,
    EnvironmentContent,
    after_binding,
    after_environment_event,
    after_proof,
    why_not_compared,
)
from shared.contracts.environments import EnvironmentStatus, RuntimeEnvironmentProvisioned
from shared.contracts.isolation import IsolationLayer
from shared.contracts.tenants import TenantIsolationProofCompleted
from shared.contracts.values import ComputeTargetKind
from tests.drift.isolated import BINDING, QUOTA, status, told
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, bound_tenant

NOTHING: Final = EnvironmentContent()
PROVISIONED: Final = told(
    2,
    dataResources=[{"kind": "LocalPostgres", "name": "orders"}],
    capacities={"LocalProcess": {"cpu": 4.0}},
    outputs={"data.orders.port": "5432"},
    endpoint="http://shop.test/",
)
KNOWN: Final = after_environment_event(NOTHING, PROVISIONED)


def proof(revision: int, layer: IsolationLayer) -> TenantIsolationProofCompleted:
    return TenantIsolationProofCompleted.model_validate(
        {
            "aggregateId": f"{BINDING}/{layer}",
            "revision": revision,
            "bindingId": BINDING,
            "environmentId": ENVIRONMENT,
            "layer": layer,
            "verdict": "Pass",
            "positiveControl": True,
            "checkedAt": "2026-01-01T00:00:00Z",
        }
    )


def test_what_was_provisioned_is_known_with_all_that_it_comes_to() -> None:
    assert isinstance(PROVISIONED, RuntimeEnvironmentProvisioned)
    expected = EnvironmentContent(
        status=EnvironmentStatus.PROVISIONED,
        name="shop",
        owner=TENANT,
        targets=PROVISIONED.compute_targets,
        data=PROVISIONED.data_resources,
        capacities=PROVISIONED.capacities,
        outputs={"data.orders.port": "5432"},
        isolation=PROVISIONED.isolation[0],
    )

    known = after_environment_event(NOTHING, PROVISIONED)

    assert known == expected
    assert known.capacities is not None
    assert known.capacities.keys() == {ComputeTargetKind.LOCAL_PROCESS}


def test_an_environment_without_a_binding_isolates_nobody() -> None:
    assert after_environment_event(KNOWN, told(3, isolation=[])).isolation is None


def test_another_status_leaves_what_was_provisioned() -> None:
    after = after_environment_event(KNOWN, status(3, "Updating"))

    assert after.status is EnvironmentStatus.UPDATING
    assert (after.targets, after.data, after.outputs) == (KNOWN.targets, KNOWN.data, KNOWN.outputs)


@pytest.mark.parametrize(
    ("known", "code", "is_unfinished"),
    [
        pytest.param(EnvironmentStatus.DECOMMISSIONED, "Decommissioned", False, id="gone"),
        pytest.param(EnvironmentStatus.FAILED, "EnvironmentFailed", True, id="failed"),
        pytest.param(
            EnvironmentStatus.DECOMMISSION_FAILED, "EnvironmentFailed", True, id="gone-in-parts"
        ),
        pytest.param(EnvironmentStatus.UPDATING, "OwnWork", True, id="being-changed"),
        pytest.param(None, "OwnWork", True, id="not-heard-of"),
    ],
)
def test_an_environment_that_is_not_as_it_is_to_be_is_not_compared(
    known: EnvironmentStatus | None, code: str, *, is_unfinished: bool
) -> None:
    found = why_not_compared(EnvironmentContent(status=known))

    assert found is not None
    assert (found[0].code, found[1]) == (code, is_unfinished)


def test_the_state_of_an_environment_is_named() -> None:
    updating = why_not_compared(EnvironmentContent(status=EnvironmentStatus.UPDATING))
    unknown = why_not_compared(NOTHING)

    assert updating is not None
    assert unknown is not None
    assert updating[0].message == "the environment is Updating"
    assert unknown[0].message == "the environment is not heard of yet"


def test_a_provisioned_environment_is_compared() -> None:
    assert why_not_compared(KNOWN) is None


# The tenant's binding, and the proofs of its isolation.


def bound(revision: int = 2, **changes: Any) -> EnvironmentContent:
    content = after_binding(KNOWN, bound_tenant(revision, "Enforced", quota=QUOTA, **changes))
    assert content is not None
    return content


def test_news_of_a_binding_are_its_revision_status_and_quota() -> None:
    event = bound_tenant(2, "Enforced", quota=QUOTA)

    content = bound()

    assert content.binding == BoundTenant(2, event.status, event.quota)
    assert content.targets == KNOWN.targets


@pytest.mark.parametrize("revision", [1, 2])
def test_a_binding_is_not_what_an_older_event_or_a_repeat_says(revision: int) -> None:
    assert after_binding(bound(), bound_tenant(revision, "Suspended")) is None


def test_of_each_layer_the_newest_proof_is_known() -> None:
    network, compute = IsolationLayer.NETWORK, IsolationLayer.COMPUTE

    first = after_proof(bound(), proof(3, network))
    assert first is not None
    second = after_proof(first, proof(1, compute))

    assert second is not None
    assert second.binding.proofs == {"network": 3, "compute": 1}
    assert second.binding.revision == 2
    assert after_proof(second, proof(3, network)) is None
    assert after_proof(second, proof(2, network)) is None
