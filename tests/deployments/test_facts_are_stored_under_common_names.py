"""What other services said is stored as before each kind of it had a class of its own."""

from collections.abc import Mapping
from typing import Any

import pytest

from function_apps.deployments.model.facts import LayerFact, PolicyFact, SecretFact
from function_apps.deployments.repository import TARGETS, TENANT_LAYERS
from shared.contracts.values import SecretDelivery

AT = "2026-11-30T12:00:00.000000Z"
LAYER = {
    "kind": "configuration", "revision": 7, "module": "module-shop", "name": "module",
    "value": "4", "versions": {"3": "beef", "4": "cafe"}, "ended_at": AT, "schemas": {"4": "feed"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        pytest.param(
            {
                "kind": "secret", "revision": 3, "module": "module-shop", "name": "password",
                "value": "v2", "rotation": 2, "binding": "sec-1", "vault": "https://v",
                "delivery": "file", "target": "/run/password", "disabled": ["v1"], "asked": 2,
                "former": ["1"],
                "allowed": ["2"],
            },
            SecretFact, id="a-secret",
        ),
        pytest.param(
            {"kind": "secret", "revision": 4, "name": "password", "ended_at": AT},
            SecretFact, id="a-revoked-secret",
        ),
        pytest.param(
            {"kind": "scaling", "revision": 5, "module": "module-shop", "value": "9", "minimum": 2},
            PolicyFact, id="a-policy",
        ),
        pytest.param(
            {"kind": "scaling", "revision": 6, "module": "module-shop", "value": "0"},
            PolicyFact, id="a-policy-that-ended",
        ),
        pytest.param(LAYER, LayerFact, id="a-layer"),
        pytest.param({"kind": "configuration", "revision": 1}, LayerFact, id="a-layer-of-nothing"),
    ],
)  # fmt: skip
def test_a_fact_is_read_and_written_under_the_names_that_it_has_always_had(
    stored: Mapping[str, Any], kind: type
) -> None:
    body = {"environment_id": "env-ngbperzq3ney", "facts": {"one": stored}, "schema": 3}

    target = TARGETS.decode(body)

    assert isinstance(target.facts["one"], kind)
    assert TARGETS.encode(target)["facts"] == {"one": stored}


def test_the_layer_of_a_tenant_is_stored_so_too() -> None:
    layer = TENANT_LAYERS.decode({"tenant_id": "acme", "fact": LAYER, "schema": 1})

    assert TENANT_LAYERS.encode(layer)["fact"] == LAYER


def test_a_fact_with_fields_of_other_kinds_is_read() -> None:
    body = {"kind": "secret", "revision": 1, "value": "v1", "minimum": 0, "versions": {}}

    target = TARGETS.decode(
        {"environment_id": "env-ngbperzq3ney", "facts": {"one": body}, "schema": 3}
    )

    assert target.facts["one"] == SecretFact(
        "secret", 1, version="v1", delivery=SecretDelivery.ENVIRONMENT_VARIABLE
    )
