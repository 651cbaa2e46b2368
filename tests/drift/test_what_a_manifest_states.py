"""What one file in Git states of modules and of layers of configuration, and what refuses it."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from function_apps.drift.model.configuration_layers import layer_id, layer_name
from function_apps.drift.model.configuration_words import words_of
from function_apps.drift.model.manifest import EVENTS_MAX, Manifest, read_manifest
from shared.contracts.validation import DEPTH_MAX
from shared.kernel.errors import Invalid
from shared.kernel.ids import EnvironmentId, ModuleId, configuration_id, module_key, tenant_key
from tests.drift.followed import NAME, manifest
from tests.kit.service import TENANT
from tests.kit.told import DIGEST, ENVIRONMENT, KEY, WEB

OTHER: Final = EnvironmentId("env-" + "b" * 12)
LIMIT: Final = {"values": {"limit": 5}}


def read(text: str | Mapping[str, Any]) -> Manifest:
    content = text if isinstance(text, str) else json.dumps(text)
    return read_manifest(content.encode(), ENVIRONMENT, NAME)


def refusal(text: str | Mapping[str, Any]) -> str:
    """Return what is wrong with a manifest, and where."""
    with pytest.raises(Invalid) as refused:
        read(text)
    first = next(iter(refused.value.details), None)
    return f"{first.target}: {first.message}" if first else refused.value.message


# Modules.


def test_a_release_file_states_version_digest_and_number_of_instances() -> None:
    assert read(manifest("1.1", replicas=3)).modules == {
        WEB: {"workload/version": "1.1", "workload/digest": DIGEST, "replicas/replicas": "3"}
    }


def test_an_image_stands_for_a_digest_and_what_is_not_said_is_not_stated() -> None:
    image = "registry.test/web:1"
    release = json.loads(manifest("1.1", image=image))
    del release["components"][0]["artifact"]

    assert read(release).modules == {WEB: {"workload/version": "1.1", "workload/image": image}}


def test_an_archive_by_its_path_states_no_digest() -> None:
    assert read(manifest("1.1", artifact="./web")).modules == {WEB: {"workload/version": "1.1"}}


def test_versions_of_configuration_are_stated_where_the_release_names_them() -> None:
    asked = {**json.loads(manifest()), "configuration": {"tenant": 2, "module": 7}}
    asked["configuration"]["configurationId"] = configuration_id(KEY, "environment")

    words = read(asked).modules[WEB]

    assert {path: word for path, word in words.items() if path.startswith("configuration/")} == {
        "configuration/tenant": "2",
        "configuration/module": "7",
    }


@pytest.mark.parametrize(
    ("field", "own", "another"),
    [
        pytest.param("environment", NAME, "prod", id="by-name"),
        pytest.param("environmentId", ENVIRONMENT, OTHER, id="by-id"),
    ],
)
def test_a_manifest_of_another_environment_is_refused(field: str, own: str, another: str) -> None:
    release = json.loads(manifest())

    assert read({**release, field: own}).modules.keys() == {WEB}
    assert refusal({**release, field: another}) == f"{field}: expected {own}"


def test_what_a_command_line_says_besides_is_no_part_of_the_release() -> None:
    command_line = {"secrets": {}, "dryRun": True, "restart": True}

    assert read({**json.loads(manifest()), **command_line}) == read(manifest())


# Layers of configuration.


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        pytest.param(LIMIT, "environment", id="of-the-environment"),
        pytest.param({**LIMIT, "environment": NAME}, "environment", id="that-names-it"),
        pytest.param({**LIMIT, "environment": ""}, "environment", id="that-leaves-it-open"),
        pytest.param({**LIMIT, "environment": None}, "environment", id="that-says-nothing-of-it"),
        pytest.param({**LIMIT, "module": WEB}, f"module/{WEB}", id="of-a-module"),
        pytest.param({**LIMIT, "layer": "tenant"}, "tenant", id="of-the-tenant"),
        pytest.param(
            {**LIMIT, "layer": "tenant", "environment": ""}, "tenant", id="of-the-tenant-alone"
        ),
    ],
)
def test_a_file_and_an_entry_of_a_list_state_the_same_layer(
    stated: Mapping[str, Any], name: str
) -> None:
    listed = {"configuration": [stated], "environment": NAME, "environmentId": ENVIRONMENT}

    for given in (stated, listed):
        assert read(given) == Manifest({}, {name: {"limit": "5"}})


def test_a_release_file_states_its_modules_and_layers_together() -> None:
    both = {**json.loads(manifest()), "configuration": [LIMIT]}

    assert read(both) == Manifest(read(manifest()).modules, {"environment": {"limit": "5"}})


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        pytest.param(
            {"layer": "tenant", "environment": NAME, "values": {}},
            "/environment: expected no environment for the layer tenant",
            id="a-layer-of-the-tenant-in-an-environment",
        ),
        pytest.param(
            {"environment": "prod", "values": {}}, f"/environment: expected {NAME}", id="of-another"
        ),
        pytest.param(
            {"values": {"apiKey": "hunter2"}},
            "/values/apiKey: apiKey is a secret by its name: expected a reference,"
            ' {"secret": "<name>"}, or another name',
            id="a-secret",
        ),
    ],
)
def test_a_layer_that_cannot_be_published_is_refused_with_its_place(
    stated: Mapping[str, Any], said: str
) -> None:
    assert refusal({"configuration": [LIMIT, stated]}) == f"/configuration/1{said}"


def test_an_unknown_field_of_a_layer_is_refused_with_its_place() -> None:
    listed = {"configuration": [{**LIMIT, "value": 1}]}

    assert refusal(listed).startswith("/configuration/0/value: ")


def test_an_entry_that_is_no_mapping_is_refused_with_its_place() -> None:
    assert refusal({"configuration": [LIMIT, 5]}) == (
        "/configuration/1: expected a mapping with `values`"
    )


def test_a_layer_alone_in_its_file_is_refused_with_the_place_of_what_is_wrong() -> None:
    assert refusal({"values": {"apiKey": "hunter2"}}).startswith("/values/apiKey: ")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({**json.loads(manifest()), **LIMIT}, id="with-values-besides"),
        pytest.param({"environment": NAME}, id="that-names-its-environment-only"),
    ],
)
def test_a_file_that_is_neither_a_layer_nor_a_release_is_refused(body: Mapping[str, Any]) -> None:
    assert refusal(body)


def test_a_layer_stands_in_a_file_once() -> None:
    assert refusal({"configuration": [LIMIT, LIMIT]}) == (
        "/configuration/1: environment stands there twice"
    )


@pytest.mark.parametrize(
    ("layer", "module", "expected"),
    [
        pytest.param("tenant", None, configuration_id(tenant_key(TENANT), "tenant"), id="tenant"),
        pytest.param("environment", None, configuration_id(KEY, "environment"), id="environment"),
        pytest.param(
            "module", WEB, configuration_id(KEY, "module", module_key(TENANT, ModuleId(WEB))),
            id="module",
        ),
    ],
)  # fmt: skip
def test_a_layer_is_found_by_its_name(layer: str, module: str | None, expected: str) -> None:
    assert layer_id(layer_name(layer, module), KEY, TENANT) == expected


# What is read at all.


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")], ids=["lists", "mappings"])
def test_a_file_may_be_as_deep_as_a_release_and_no_deeper(brackets: tuple[str, str]) -> None:
    opening, closing = brackets
    deep = f"values: {{a: {opening * (DEPTH_MAX - 2)}1{closing * (DEPTH_MAX - 2)}}}"
    deeper = f"values: {{a: {opening * (DEPTH_MAX - 1)}1{closing * (DEPTH_MAX - 1)}}}"

    assert read(deep).layers.keys() == {"environment"}
    assert refusal(deeper) == f"expected at most {DEPTH_MAX} levels and {EVENTS_MAX} values"


def test_many_values_beside_each_other_are_no_levels() -> None:
    values = {f"key{number}": [{"a": number}] for number in range(3 * DEPTH_MAX)}

    assert len(read({"values": values}).layers["environment"]) == 3 * DEPTH_MAX


def test_a_file_may_have_as_many_values_as_a_release_and_no_more() -> None:
    around = 12  # of the stream, the document, two mappings with a name each, and the list
    most = EVENTS_MAX + 1 - around

    assert read(f"values: {{a: [{'1,' * most}]}}").layers.keys() == {"environment"}
    assert "levels" in refusal(f"values: {{a: [{'1,' * (most + 1)}]}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "a: b: c\n", ": line 1, column 5: mapping values are not allowed in this context",
            id="with-what-is-wrong-there",
        ),
        pytest.param(
            'a: "hunter2\n', ": line 2, column 1: found unexpected end of stream",
            id="without-what-stands-there",
        ),
        pytest.param(
            "a: \x01\n", ": it has bytes or characters that YAML does not have",
            id="without-a-place-where-it-has-none",
        ),
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_told_with_its_place(text: str, said: str) -> None:
    assert refusal(text) == f"it is not YAML{said}"


@pytest.mark.parametrize(
    ("components", "said"),
    [
        pytest.param([5], "/components/0: expected an object, received 5", id="a-number"),
        pytest.param(
            {"a": 1}, "/components: expected an array, received an object", id="a-mapping"
        ),
    ],
)
def test_components_that_are_none_are_refused_with_their_place(components: Any, said: str) -> None:
    assert refusal({"components": components}) == said


def test_a_value_is_not_repeated_by_a_name() -> None:
    assert refusal("a: &x 1\nb: *x\n") == "aliases are not read: write each value out"


# The word of a value.


@pytest.mark.parametrize(
    ("value", "word"),
    [
        pytest.param(5, "5", id="a-number"),
        pytest.param(1.0, "1", id="one-way-to-write-a-number"),
        pytest.param(0.5, "0.5", id="a-fraction"),
        pytest.param(True, "true", id="a-boolean"),
        pytest.param(None, "null", id="null"),
        pytest.param({"secret": "mail"}, '{"secret":"mail"}', id="a-reference-to-a-secret"),
        pytest.param(int("9" * 64), "9" * 64, id="the-longest-number-that-is-shown"),
    ],
)
def test_a_number_a_boolean_null_and_a_reference_are_kept_as_they_are(
    value: Any, word: str
) -> None:
    assert words_of({"key": value}) == {"key": word}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("key", "text", id="a-text"),
        pytest.param("key", [1], id="a-list"),
        pytest.param("key", {"a": 1}, id="a-mapping"),
        pytest.param("key", {"secret": "No Name"}, id="what-is-no-reference"),
        pytest.param("key", int("9" * 65), id="a-longer-number"),
        pytest.param("pinPassword", 1234, id="a-number-under-the-name-of-a-secret"),
    ],
)
def test_of_anything_else_only_a_digest_is_kept(key: str, value: Any) -> None:
    word = words_of({key: value})[key]

    assert word.startswith("sha256:")
    assert word != words_of({key: [value, value]})[key]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([1.0, {"a": 2.0}], [1, {"a": 2}], id="in-lists"),
        pytest.param({"a": [3.0], "b": {"c": 4.0}}, {"a": [3], "b": {"c": 4}}, id="in-mappings"),
    ],
)
def test_a_number_is_written_in_one_way_at_any_depth(one: Any, other: Any) -> None:
    assert words_of({"key": one}) == words_of({"key": other})
    assert words_of({"key": one}) != words_of({"key": [0, one]})
