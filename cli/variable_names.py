"""Names of variables that a release file gives to a module twice, or that no module may have.

Its plan is refused for them. They are found before anything is published or bound, of the layer of
the module itself: what another layer gives it, the file does not know.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.configuration_files import LayerFile
from cli.failure import Detail
from cli.release_mistakes import as_sent

if TYPE_CHECKING:
    from shared.contracts.components import Component


def taken_names(
    body: Mapping[str, Any], layers: Sequence[LayerFile], secrets: Sequence[Mapping[str, Any]]
) -> Iterator[Detail]:
    """Yield each key and each secret of a component of *body* that takes the name of another."""
    for component in _components(body):
        module = str(component.module_id)
        of_module = [each for each in layers if each.said.get("module") == module]
        keys = dict[str, str]()
        for layer in of_module:
            keys |= _keys(component, layer)
            yield from _refused_keys(component, layer)
        for index, secret in enumerate(secrets):
            if secret.get("moduleId") == module and _is_variable(secret):
                yield from _taken_target(index, str(secret.get("target")), component, keys)


def _components(body: Mapping[str, Any]) -> "Iterator[Component]":
    """Yield the components that have no mistake by themselves."""
    from shared.contracts.components import Component  # noqa: PLC0415  slow to import
    from shared.contracts.validation import parse  # noqa: PLC0415
    from shared.kernel.errors import Invalid  # noqa: PLC0415

    components = as_sent(body).get("components")
    for each in components if isinstance(components, list) else ():
        try:
            yield parse(Component, json.dumps(each).encode())
        except Invalid:
            continue


def _is_variable(secret: Mapping[str, Any]) -> bool:
    return secret.get("delivery") in {None, "environmentVariable"}


def _keys(component: "Component", layer: LayerFile) -> Mapping[str, str]:
    """Return the keys of *layer* by the variables that *component* is given them as."""
    from function_apps.deployments.model.configuration import variables_of  # noqa: PLC0415  slow

    values = layer.said.get("values")
    if "variables" not in component.configuration_delivery or not isinstance(values, dict):
        return {}
    return variables_of({str(key): value for key, value in values.items()})


def _refused_keys(component: "Component", layer: LayerFile) -> Iterator[Detail]:
    from function_apps.deployments.model.configuration import refusals  # noqa: PLC0415  slow

    values = layer.said.get("values")
    if isinstance(values, dict) and all(isinstance(key, str) for key in values):
        for each in refusals(component, values, ""):
            if each.code == "ConfigurationVariableTaken":
                yield Detail(layer.pointer(f"values/{each.received}"), each.message, code=each.code)


def _taken_target(
    index: int, target: str, component: "Component", keys: Mapping[str, str]
) -> Iterator[Detail]:
    place = f"/secrets/{index}/target"
    if target in component.environ:
        yield Detail(place, f"{target} is a variable of environ of {component.module_id} already")
    elif target in keys:
        of = f"the key {keys[target]} of its configuration is the variable {target} already"
        yield Detail(place, f"{component.module_id}: {of}")
