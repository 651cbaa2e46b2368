"""What a bound tenant is told of another one's environment is listed here, and no more is told."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from function_apps.environments.events import environment_changed, environment_told
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import Spec, State
from function_apps.environments.model.tenant_isolation import TenantIsolation
from shared.contracts.environments import (
    BindingIsolation,
    ComputeTarget,
    DataResourceKind,
    DataResourceSpec,
    IsolationState,
    UpdateOutcome,
)
from shared.contracts.isolation import Quota
from shared.contracts.tenants import TenantBindingStatus
from shared.contracts.values import ComputeTargetKind, IsolationModel, Reason
from shared.kernel.ids import TenantId, tenant_binding_id
from tests.kit.told import ENVIRONMENT, KEY

OWNERS: Final = "owners-only"
FACTS: Final = {
    "aggregateId", "revision", "environmentId", "ownerTenantId", "name", "stage", "region",
    "isolationModel", "status", "generation",
}  # fmt: skip
GLOBEX: Final = TenantId("globex")
PROVISIONED: Final = {"computeTargets", "isolation", "pulumiStackRef"}


def _environment(status: State) -> RuntimeEnvironment:
    """Return an environment of acme with the word `owners-only` in all that is acme's alone."""
    spec = Spec(
        IsolationModel.SHARED,
        (),
        (DataResourceSpec(kind=DataResourceKind.LOCAL_FOLDER, name=OWNERS),),
        True,
        {"team": OWNERS},
        ("globex", OWNERS),
    )
    target = ComputeTarget(
        kind=ComputeTargetKind.AKS,
        resource_ids=(f"/subscriptions/{OWNERS}",),
        endpoint="https://shop.test/",
        capabilities=("namespaces",),
    )
    isolation = BindingIsolation(
        binding_id=tenant_binding_id(KEY, TenantId("acme")),
        revision=1,
        state=IsolationState.APPLIED,
        namespace=OWNERS,
    )
    return RuntimeEnvironment(
        ENVIRONMENT, "acme", "proj-shop", "shop", "test", "local", spec, status, f"op-{OWNERS}",
        "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", f"trace-{OWNERS}",
        applied=spec,
        revision=70,
        generation=8,
        targets=(target,),
        outputs={"vault.name": OWNERS},
        last_update=UpdateOutcome.FAILED,
        reason=Reason(code="ApplyFailed", message=f"the quota of {OWNERS} is used up"),
        remaining=(f"urn:{OWNERS}",),
        retain=(OWNERS,),
        retained=(DataResourceSpec(kind=DataResourceKind.LOCAL_FOLDER, name=OWNERS),),
        isolation=(isolation,),
        bound=(tenant_binding_id(KEY, GLOBEX), f"tb-{OWNERS}"),
    )  # fmt: skip


def _isolation(**changes: Any) -> TenantIsolation:
    return TenantIsolation(
        tenant_binding_id(KEY, GLOBEX), "globex", ENVIRONMENT, "acme", Quota(),
        TenantBindingStatus.ENFORCED, 2, 1, "op-1", told=3, **changes,
    )  # fmt: skip


def _told(status: State, **isolation: Any) -> Mapping[str, Any]:
    row = environment_told(_environment(status), _isolation(**isolation))
    return row.payload.model_dump(mode="json", by_alias=True)


def _named(told: Mapping[str, Any]) -> set[str]:
    """Return the fields that say anything."""
    return {name for name, value in told.items() if value not in (None, [], {})}


@pytest.mark.parametrize("status", [*State])
def test_of_each_state_it_hears_the_listed_fields_with_nothing_of_the_owners(
    status: State,
) -> None:
    told = _told(status)

    more = {State.PROVISIONED: PROVISIONED, State.FAILED: {"reason"}}
    more[State.DECOMMISSION_FAILED] = {"reason"}
    assert _named(told) == FACTS | more.get(status, set())
    assert OWNERS not in json.dumps(told)
    assert (told["revision"], told["generation"]) == (3, 1)


def test_of_a_target_it_hears_what_it_can_and_its_public_address() -> None:
    told = _told(State.PROVISIONED)

    (target,) = told["computeTargets"]
    assert target == {
        "kind": "AKS",
        "resourceIds": [],
        "endpoint": "https://shop.test/",
        "capabilities": ["namespaces"],
    }
    (isolation,) = told["isolation"]
    assert isolation["bindingId"] == tenant_binding_id(KEY, GLOBEX)


def test_once_it_is_removed_the_environment_is_gone_for_it() -> None:
    told = _told(State.PROVISIONED, state=IsolationState.REMOVED)

    assert told["status"] == "Decommissioned"
    assert _named(told) == FACTS


def test_the_owner_hears_all_of_it() -> None:
    row = environment_changed(_environment(State.PROVISIONED))
    told = row.payload.model_dump(mode="json", by_alias=True)

    assert _named(told) >= FACTS | PROVISIONED | {"dataResources", "outputs", "admits"}
