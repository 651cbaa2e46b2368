"""The layers of configuration that a manifest states, as `runtimectl config publish` takes them.

Pure. They are held to what a publication is held to, so a secret as text is refused here too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from function_apps.drift.model.configuration_layers import layer_name
from function_apps.drift.model.configuration_words import words_of
from shared.contracts.configuration_values import value_violations
from shared.contracts.configurations import ConfigurationLayer, PublishConfiguration
from shared.contracts.validation import read
from shared.kernel.errors import Invalid

_LAYER_FILE: Final = frozenset(
    {"layer", "environment", "module", "values", "schema", "expectedVersion", "comment"}
)
_LAYERS_FILE: Final = frozenset({"configuration", "environment", "environmentId"})


def is_of_layers_only(body: Mapping[str, Any]) -> bool:
    """Return whether *body* is no release: one layer, or several under `configuration`."""
    is_list = isinstance(body.get("configuration"), list) and body.keys() <= _LAYERS_FILE
    return is_list or ("values" in body and body.keys() <= _LAYER_FILE)


def read_layers(
    body: Mapping[str, Any], environment_id: str, name: str
) -> Mapping[str, Mapping[str, str]]:
    """Return the words of each layer that *body* states, by the layer's name.

    Raises:
        Invalid: one is none, is of another environment, or stands there twice.
    """
    layers: dict[str, Mapping[str, str]] = {}
    for at, entry in _entries(body):
        stated = _publication(entry, at, environment_id, name)
        violations = value_violations(stated.values)
        if violations:
            first = violations[0]
            raise Invalid(f"{at}{first.target}: {first.message}")
        scope = stated.scope
        path = layer_name(scope.layer, scope.module_id)
        if path in layers:
            raise Invalid(f"{at}: {path} stands there twice")
        layers[path] = words_of(stated.values)
    return layers


def _entries(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if "values" in body:
        yield "", body
        return
    given = body.get("configuration")
    if isinstance(given, list):
        for index, entry in enumerate(given):
            yield f"/configuration/{index}", entry


def _publication(entry: Any, at: str, environment_id: str, name: str) -> PublishConfiguration:
    """Return *entry* as the command that would publish it. Raises Invalid."""
    if not isinstance(entry, dict):
        raise Invalid(f"{at}: expected a mapping with `values`")
    said = dict(entry)
    environment, module = said.pop("environment", None), said.pop("module", None)
    implied = ConfigurationLayer.MODULE if module else ConfigurationLayer.ENVIRONMENT
    layer = said.pop("layer", None) or implied
    is_tenant = layer == ConfigurationLayer.TENANT
    if environment not in (None, "", *(() if is_tenant else (name,))):
        expected = "no environment for the layer tenant" if is_tenant else name
        raise Invalid(f"{at}/environment: expected {expected}")
    scope = {"layer": layer, "environmentId": None if is_tenant else environment_id}
    command = {
        "expectedVersion": 0,
        **said,
        "scope": {**scope, "moduleId": module},
    }
    return read(PublishConfiguration, command, at=at)
