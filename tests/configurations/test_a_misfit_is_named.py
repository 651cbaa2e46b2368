"""A value that does not fit its schema is refused by name, wherever the schema says it."""

from typing import Any, Final

import pytest

from function_apps.configurations.errors import ConfigurationInvalid
from tests.configurations.configured import MODULE_LAYER, configurations
from tests.kit.virtual_time import run_virtual

NUMBER: Final = {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "values", "target", "expected"),
    [
        pytest.param(
            {"$defs": {"port": NUMBER}, "properties": {"a": {"$ref": "#/$defs/port"}}},
            {"a": "x"},
            "/values/a",
            'type: "integer"',
            id="below-a-reference",
        ),
        pytest.param(
            {
                "$defs": {
                    "one": {"properties": {"port": NUMBER}},
                    "all": {"items": {"$ref": "#/$defs/one"}},
                },
                "properties": {"a": {"$ref": "#/$defs/all"}},
            },
            {"a": [{"port": 1}, {"port": "x"}]},
            "/values/a/1/port",
            'type: "integer"',
            id="below-two-references",
        ),
        pytest.param(
            {"$defs": {"0": NUMBER}, "properties": {"a": {"$ref": "#/$defs/0"}}},
            {"a": "x"},
            "/values/a",
            'type: "integer"',
            id="below-a-reference-to-a-number",
        ),
        pytest.param(
            {"properties": {"a": {"properties": {"8080": NUMBER}}}},
            {"a": {"8080": "x"}},
            "/values/a/8080",
            'type: "integer"',
            id="a-name-of-digits",
        ),
        pytest.param(
            {"properties": {"a": {"properties": {"00": NUMBER}}}},
            {"a": {"00": "x"}},
            "/values/a/0",
            "type",
            id="a-name-that-the-library-has-as-another-number",
        ),
        pytest.param(
            {"properties": {"a": {"properties": {"": NUMBER}}}},
            {"a": {"": "x"}},
            "/values/a",
            "type",
            id="an-empty-name",
        ),
        pytest.param(
            {"properties": {"a": {"prefixItems": [NUMBER]}}},
            {"a": ["x"]},
            "/values/a/0",
            'type: "integer"',
            id="at-a-place-of-a-list",
        ),
        pytest.param(
            {"properties": {"a": False}}, {"a": 1}, "/values/a", "falseSchema: false", id="nothing"
        ),
    ],
)
def test_it_is_refused_with_its_place_and_what_is_expected(
    schema: Any, values: Any, target: str, expected: str
) -> None:
    async def main() -> None:
        on = await configurations()
        await on.publish(MODULE_LAYER, values, schema=schema)

    with pytest.raises(ConfigurationInvalid) as refused:
        run_virtual(main())

    (found,) = refused.value.details
    assert (found.code, found.target, found.expected) == ("SchemaViolated", target, expected)
