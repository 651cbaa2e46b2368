"""The configuration of a component: its versions, and the texts that stand for it. Pure.

A release pins the versions of three layers and the hash of their merge; its instances get the
merge as variables, as JSON and as dotenv, whichever the component asks for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from function_apps.deployments.model.facts import CONFIGURATION, Facts, LayerFact
from shared.contracts.components import Component, ConfigurationChoice
from shared.contracts.configuration_merge import (
    ORDER,
    Merge,
    Values,
    hash_of,
    json_text,
    versions_of,
)
from shared.contracts.configuration_schemas import misfits
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.releases import ConfigurationPin, ReleasedComponent
from shared.contracts.values import (
    ConfigurationDelivery,
    ConfigurationId,
    EnvironmentId,
    ModuleId,
    TenantId,
)
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, TooLarge, Violation
from shared.kernel.ids import configuration_id, module_key, parse_id, tenant_key
from shared.surfaces.configuration import Configuration, check_variable, configuration

JSON_FILE: Final = "configuration.json"
DOTENV_FILE: Final = "configuration.env"
"""In the folder that the variable `RUNTIME_CONFIGURATION` names."""
_BARE: Final = re.compile(r"[\w.:/@+,-]*", re.ASCII)
"""Text that every reader of dotenv takes as it is."""
VARIABLE_BYTES_MAX: Final = 127 * 1024
"""Of one variable; Linux takes 128 KiB with its name (`MAX_ARG_STRLEN`)."""
_NO_FACT: Final = LayerFact(CONFIGURATION, 0)


@dataclass(frozen=True)
class Configurations:
    """The pins of the modules of a command, and the values that they stand for.

    `refusals` say why one cannot be given the versions that were asked for.
    """

    pins: Mapping[ModuleId, ConfigurationPin] = field(default_factory=dict)
    values: Mapping[ModuleId, Values] = field(default_factory=dict)
    refusals: tuple[Violation, ...] = ()


@dataclass(frozen=True)
class LayerVersion:
    """One version of a layer, by the hashes of its content and its schema; version 0 has none."""

    version: int = 0
    content_hash: str = ""
    schema_hash: str = ""


Layers = Mapping[ConfigurationLayer, LayerVersion]


def layers_of(
    module: ModuleId,
    choice: ConfigurationChoice | None,
    tenant_layer: LayerFact | None,
    facts: Facts,
) -> tuple[Layers, tuple[Violation, ...]]:
    """Return the versions that *module* is given, and what of *choice* is not recorded.

    Of a layer for which it names none, that is the newest that is recorded; version 0 is none.
    """
    facts_by_layer = _by_layer(tenant_layer, facts, module)
    layers: dict[ConfigurationLayer, LayerVersion] = {}
    refusals: list[Violation] = []
    for layer in ORDER:
        fact, number = facts_by_layer.get(layer, _NO_FACT), getattr(choice, layer.value, None)
        if number is None:
            layers[layer] = _newest(fact)
            continue
        layers[layer] = _version(fact, str(number))
        if number and not layers[layer].content_hash:
            refusals.append(_not_recorded(layer, number, fact, module))
    return layers, tuple(refusals)


def identity_of(
    layer: ConfigurationLayer, environment: EnvironmentId, module: ModuleId, tenant: TenantId
) -> ConfigurationId:
    """Return the id of the configuration that *layer* is, for *module* in *environment*."""
    key = parse_id(environment, "env").environment
    match layer:
        case ConfigurationLayer.TENANT:
            return configuration_id(tenant_key(tenant), layer)
        case ConfigurationLayer.ENVIRONMENT:
            return configuration_id(key, layer)
        case ConfigurationLayer.MODULE:
            return configuration_id(key, layer, module_key(tenant, module))


def _by_layer(tenant_layer: LayerFact | None, facts: Facts, module: str) -> Mapping[str, LayerFact]:
    own = {
        fact.layer: fact
        for fact in facts.values()
        if fact.kind == CONFIGURATION and fact.module in {"", module}
    }
    return own if tenant_layer is None else {**own, ConfigurationLayer.TENANT: tenant_layer}


def _newest(fact: LayerFact) -> LayerVersion:
    """Return the newest version of *fact*; none of one that has no content."""
    if fact.version not in fact.versions:
        return LayerVersion()
    return _version(fact, fact.version)


def _version(fact: LayerFact, number: str) -> LayerVersion:
    return LayerVersion(int(number), fact.versions.get(number, ""), fact.schemas.get(number, ""))


def misfit_refusals(merged: Merge, module: ModuleId) -> Iterator[Violation]:
    """Yield where *module* would be given what does not fit the schemas of its layers.

    Each is named by the layer that gives the value, or that requires what no layer gives.
    """
    versions = versions_of(merged.pin)
    for each in misfits(merged):
        given_by = f"{each.given_by} layer (version {versions[each.given_by]})"
        schema_of = f"{each.schema_of} layer (version {versions[each.schema_of]})"
        yield Violation(
            each.code,
            f"/configuration/{each.given_by}/values{each.at}",
            f"{module} would be given {each.at or 'values'} of its {given_by}, which does not fit"
            f" the schema of its {schema_of}: {each.reason}",
            each.expected,
            each.received,
        )


def _not_recorded(
    layer: ConfigurationLayer, number: int, fact: LayerFact, module: str
) -> Violation:
    of = f"of {module}" if layer is ConfigurationLayer.MODULE else f"of the {layer}"
    expected = f"one of {', '.join(sorted(fact.versions, key=int)) or 'none yet'}"
    return Violation(
        "ConfigurationNotRecorded",
        f"/configuration/{layer}",
        f"version {number} of the configuration {of} is not recorded here: expected {expected}",
        expected,
        str(number),
    )


def to_surface(
    pin: ConfigurationPin, values: Values, deliveries: Sequence[ConfigurationDelivery]
) -> Configuration | None:
    """Return what a surface gives each instance; None where nothing is published, or delivered.

    Raises:
        Invalid, TooLarge: `refusals` has said so.
    """
    if pin.hash is None or not deliveries:
        return None
    files: dict[str, str] = {}
    if ConfigurationDelivery.JSON in deliveries:
        files[JSON_FILE] = json_text(dict(values)) + "\n"
    if ConfigurationDelivery.DOTENV in deliveries:
        lines = [f"{variable_of(key)}={_quoted(text)}\n" for key, text in _texts(values)]
        files[DOTENV_FILE] = "".join(lines)
    is_variables = ConfigurationDelivery.VARIABLES in deliveries
    variables = {variable_of(key): text for key, text in _texts(values)} if is_variables else {}
    return configuration(pin.hash, variables=variables, files=files)


def variables_of(values: Values) -> Mapping[str, str]:
    """Return the keys of *values* by the variables that they are, where they are variables."""
    return {variable_of(key): key for key, _ in _texts(values)}


def _texts(values: Values) -> Iterator[tuple[str, str]]:
    """Yield each key with its text; a reference to a secret is none, as its binding delivers it."""
    for key, value in sorted(values.items()):
        if not _is_reference(value):
            yield key, value if isinstance(value, str) else json_text(value)


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"secret"}


def variable_of(key: str) -> str:
    """Return the name of the variable that a key of configuration is."""
    return re.sub(r"[.:-]", "_", key)


def _quoted(text: str) -> str:
    """Return *text* as a value of dotenv: bare, in single quotes, or escaped in double quotes."""
    if _BARE.fullmatch(text):
        return text
    if "'" not in text and "\\" not in text:
        return f"'{text}'"
    escaped = re.sub(r'([\\"$`])', r"\\\1", text)
    return f'"{escaped}"'


def refusals(component: Component, values: Values, at: str) -> Iterator[Violation]:
    """Yield each key of *values* that *component* at *at* cannot be given as it asks for it."""
    taken = [*_taken_variables(component, values, at)]
    yield from taken
    if not taken:
        yield from _too_much(component, values, at)


def _taken_variables(component: Component, values: Values, at: str) -> Iterator[Violation]:
    deliveries = component.configuration_delivery
    is_variables = ConfigurationDelivery.VARIABLES in deliveries
    if not is_variables and ConfigurationDelivery.DOTENV not in deliveries:
        return
    taken: dict[str, str] = {}
    for key, text in _texts(values):
        name = variable_of(key)
        other = taken.setdefault(name, key)
        reason = ""
        if other != key:
            reason = f"{key} and {other} of its configuration are both the variable {name}"
        elif is_variables and name in component.environ:
            reason = f"{key} of its configuration is the variable {name}, which environ has too"
        else:
            reason = _unfit(name, text)
        if reason:
            yield Violation(
                "ConfigurationVariableTaken",
                f"{at}/configurationDelivery",
                f"{component.module_id}: {reason}",
                "a variable of its own for each key",
                key,
            )


def _unfit(name: str, text: str) -> str:
    """Return why no process can have the variable *name* with *text*; empty where one can."""
    try:
        check_variable(name)
    except Invalid as problem:
        return problem.message
    if "\0" in text:
        return f"the value of {name} has a NUL"
    if len(text.encode(errors="surrogatepass")) > VARIABLE_BYTES_MAX:
        return f"the value of {name} has more than {VARIABLE_BYTES_MAX} bytes, as a variable may"
    return ""


def _too_much(component: Component, values: Values, at: str) -> Iterator[Violation]:
    pin = ConfigurationPin(hash=hash_of(values))
    try:
        to_surface(pin, values, component.configuration_delivery)
    except (Invalid, TooLarge) as problem:
        yield Violation(
            problem.code,
            f"{at}/configurationDelivery",
            f"{component.module_id}: {problem.message}",
            "less configuration, or fewer ways of delivery",
            ", ".join(component.configuration_delivery),
        )


def pins_of(components: Sequence[ReleasedComponent]) -> Mapping[ModuleId, ConfigurationPin]:
    """Return what *components* were given, to give it again."""
    return {component.module_id: component.configuration for component in components}
