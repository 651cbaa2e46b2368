"""A route is in force when its gateway has it as it is now, and finds what it goes to."""

from typing import Any

import pytest

from shared.kernel.ids import TenantId
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.routes import host_name, is_in_force, route
from tests.surfaces.harness import SHOP, TEMPLATE


def condition(kind: str, status: str = "True", generation: int = 2) -> dict[str, Any]:
    return {"type": kind, "status": status, "observedGeneration": generation}


ACCEPTED, RESOLVED = condition("Accepted"), condition("ResolvedRefs")


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        pytest.param([[ACCEPTED, RESOLVED]], True, id="both"),
        pytest.param([[ACCEPTED, condition("ResolvedRefs", "False")]], False, id="no-service"),
        pytest.param([[ACCEPTED]], False, id="not-resolved-yet"),
        pytest.param([[condition("Accepted", "False"), RESOLVED]], False, id="refused"),
        pytest.param([[ACCEPTED, condition("ResolvedRefs", generation=1)]], False, id="as-before"),
        pytest.param([[ACCEPTED], [RESOLVED]], False, id="of-two-gateways"),
        pytest.param([], False, id="nobody"),
    ],
)
def test_who_says_so(parents: list[list[dict[str, Any]]], *, expected: bool) -> None:
    status = {"parents": [{"conditions": conditions} for conditions in parents]}

    assert is_in_force({"metadata": {"generation": 2}, "status": status}) is expected


def test_another_tenant_is_reached_by_its_host_only() -> None:
    installation = Installation("test")

    own = route(installation, SHOP, SHOP.tenant, {1: 100}, [TEMPLATE])
    guest = route(installation, SHOP, TenantId("globex"), {1: 100}, [TEMPLATE])

    assert own["spec"]["hostnames"] == []
    assert guest["spec"]["hostnames"] == [host_name(SHOP)]
