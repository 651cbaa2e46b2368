"""A schema has an end, and costs no more than a bound: it is checked in the process of all."""

from typing import Any

import pytest

from function_apps.configurations.errors import ConfigurationInvalid, ConfigurationUnusable
from shared.contracts import schema_cost
from tests.configurations.configured import (
    ENVIRONMENT_LAYER,
    MODULE_LAYER,
    TENANT_LAYER,
    configurations,
)
from tests.kit.told import environment
from tests.kit.virtual_time import run_virtual

END = {"type": "object"}


def chain(length: int, times: int, word: str = "allOf") -> dict[str, Any]:
    """Return a schema of which each definition names the next one so many times."""
    names = {f"d{n}": {word: [{"$ref": f"#/$defs/d{n + 1}"}] * times} for n in range(length)}
    return {"$defs": {**names, f"d{length}": END}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        pytest.param(chain(40, 2), "SchemaTooCostly", id="twice-the-next"),
        pytest.param(chain(40, 2, "anyOf"), "SchemaTooCostly", id="one-of-twice-the-next"),
        pytest.param({"$ref": "#"}, "SchemaInvalid", id="itself"),
        pytest.param(
            {"$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"},
            "SchemaInvalid",
            id="a-definition-of-itself",
        ),
        pytest.param(chain(200, 1), "SchemaInvalid", id="a-long-way"),
        pytest.param({"$ref": "#/$defs/absent"}, "SchemaInvalid", id="absent"),
        pytest.param({"$ref": "#/properties/a"}, "SchemaInvalid", id="no-definition"),
        pytest.param({"items": {"$dynamicRef": "#a"}}, "SchemaInvalid", id="dynamic"),
        pytest.param(
            {"properties": {"a": {"pattern": "(((a{100}){100}){10})"}}},
            "SchemaInvalid",
            id="a-pattern-that-grows",
        ),
    ],
)
def test_a_schema_without_a_bound_is_refused(schema: Any, code: str) -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1}, schema=schema)

    with pytest.raises(ConfigurationInvalid) as refused:
        run_virtual(main())
    assert [each.code for each in refused.value.details] == [code]


def test_a_schema_of_many_definitions_is_taken() -> None:
    async def main() -> Any:
        on = await configurations()
        schema = {**chain(8, 2), "properties": {"a": {"pattern": r"^\d+(\.\d+){2}$"}}}
        return await on.publish(MODULE_LAYER, {"a": "1.2.3"}, schema=schema)

    assert run_virtual(main())["version"] == 1


def test_values_that_are_too_many_for_a_schema_are_refused_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": [1] * 100}, schema={"items": END})

    monkeypatch.setattr(schema_cost, "CHECKS_MAX", 300)
    with pytest.raises(ConfigurationInvalid, match="too many parts"):
        run_virtual(main())


def test_the_layers_of_an_environment_that_has_ended_refuse_nothing() -> None:
    async def main() -> Any:
        on = await configurations()
        only_eu = {"properties": {"region": {"const": "eu"}}}
        await on.publish(MODULE_LAYER, {}, schema=only_eu)
        await on.hear(environment(2, gone=True))
        return await on.publish(TENANT_LAYER, {"region": "us"})

    assert run_virtual(main())["version"] == 1


def test_layers_that_do_not_fit_together_are_unusable_and_say_where() -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(
            ENVIRONMENT_LAYER, {"a": 1}, schema={"properties": {"a": {"type": "null"}}}
        )
        await on.effective()

    with pytest.raises(ConfigurationUnusable, match="/values/a"):
        run_virtual(main())
