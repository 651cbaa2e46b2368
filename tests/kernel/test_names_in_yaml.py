"""A name in YAML is a text, and stands once in a mapping, also in one that is merged."""

from typing import Any

import pytest
import yaml

from shared.kernel.yaml_values import loader_of_json

LOADERS = sorted({yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)}, key=str)
DEEPER = """
base: &base {most: 1}
deep: {er: {a: &a {<<: *base, most: 2}}}
shallow: {<<: *a, least: 1}
"""


def loaded(text: str, base: type[Any]) -> Any:
    return yaml.load(text, loader_of_json(base))


@pytest.mark.parametrize("base", LOADERS)
@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("{<<: {on: 1}, y: 3}", "the name on is no text", id="a-truth-value"),
        pytest.param("{<<: {x: 1, x: 2}, y: 3}", "a name stands twice", id="twice"),
        pytest.param("{<<: [{x: 1, x: 2}]}", "a name stands twice", id="twice-in-a-list"),
    ],
)
def test_what_is_merged_has_no_other_names(text: str, what: str, base: type[Any]) -> None:
    with pytest.raises(yaml.YAMLError, match=what):
        loaded(text, base)


@pytest.mark.parametrize("base", LOADERS)
@pytest.mark.parametrize(
    ("text", "last"),
    [
        pytest.param("a: &a {most: 1}\nb: {<<: *a, most: 2}", {"most": 2}, id="said-otherwise"),
        pytest.param(
            "a: &a {most: 1}\nb: {<<: *a, <<: {least: 3}}", {"most": 1, "least": 3}, id="two-merges"
        ),
        pytest.param(DEEPER, {"most": 2, "least": 1}, id="merged-deeper-before"),
    ],
)
def test_what_is_merged_may_be_said_otherwise(text: str, last: object, base: type[Any]) -> None:
    *_, value = loaded(text, base).values()

    assert value == last


@pytest.mark.parametrize("base", LOADERS)
@pytest.mark.parametrize("name", ["!!bool hunter2", '!!bool "\\e[31mX"', "7", "~"])
def test_a_name_that_may_be_a_secret_is_not_shown(name: str, base: type[Any]) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as refused:
        loaded(f"{name}: 1", base)

    assert refused.value.problem == "the name is no text in YAML: put it in quotes"
