"""The three layers of a module, and their merge. Pure; no I/O, no clock."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.releases import ConfigurationPin
from shared.kernel.dataclass import dataclass

Values = Mapping[str, Any]
"""JSON values by key."""
ORDER: Final = (
    ConfigurationLayer.TENANT,
    ConfigurationLayer.ENVIRONMENT,
    ConfigurationLayer.MODULE,
)
"""Later layers win."""


def json_text(value: Any) -> str:
    """Return *value* as JSON with sorted keys and no spaces: equal texts are equal values.

    Python's own comparison takes `true` for 1, and 1 for 1.0.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(values: Values) -> str:
    """Return the digest of the JSON text of *values*."""
    return f"sha256:{hashlib.sha256(json_text(dict(values)).encode()).hexdigest()}"


@dataclass(frozen=True)
class LayerContent:
    """The content of one version of a layer. Version 0 is a layer that nobody has published."""

    version: int = 0
    values: Values = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Merge:
    """The values of a module: for each key the value of the last layer that has it, whole.

    Values are not merged into each other: a list or an object of a later layer takes the place of
    the earlier one.
    """

    values: Values
    layer_of: Mapping[str, ConfigurationLayer]
    pin: ConfigurationPin
    schemas: Sequence[tuple[ConfigurationLayer, Mapping[str, Any]]] = ()
    """Of the layers that have one; the merge fits them all."""

    @property
    def hash(self) -> str:
        """The digest of the values, also of none."""
        return self.pin.hash or hash_of(self.values)


def merge(layers: Mapping[ConfigurationLayer, LayerContent]) -> Merge:
    """Return the merge of *layers*; one that is absent says nothing."""
    values: dict[str, Any] = {}
    layer_of: dict[str, ConfigurationLayer] = {}
    for layer in ORDER:
        for key, value in layers.get(layer, LayerContent()).values.items():
            values[key], layer_of[key] = value, layer
    versions = {layer: layers.get(layer, LayerContent()).version for layer in ORDER}
    pin = ConfigurationPin(
        tenant=versions[ConfigurationLayer.TENANT],
        environment=versions[ConfigurationLayer.ENVIRONMENT],
        module=versions[ConfigurationLayer.MODULE],
        hash=hash_of(values) if any(versions.values()) else None,
    )
    schemas = [
        (layer, content.schema) for layer, content in layers.items() if content.schema is not None
    ]
    return Merge(values, layer_of, pin, schemas)


def versions_of(pin: ConfigurationPin) -> Mapping[ConfigurationLayer, int]:
    """Return the version of each layer that *pin* names."""
    return {layer: getattr(pin, layer.value) for layer in ORDER}
