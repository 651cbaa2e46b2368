"""Layers of configuration, as Git states them and as they are in force: a word by key. Pure.

The word of a value is what is compared and shown: a number, a boolean, null or a reference to a
secret as JSON, anything else by the digest of its JSON. So drift keeps nobody's texts.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from shared.contracts.configuration_merge import Values, json_text
from shared.contracts.configurations import (
    ConfigurationLayer,
    ConfigurationPublished,
    SecretReference,
)
from shared.kernel.clock import isoformat
from shared.kernel.ids import (
    ConfigurationId,
    EnvironmentKey,
    ModuleId,
    TenantId,
    configuration_id,
    module_key,
    tenant_key,
)

NUMBER_MAX: Final = 64
"""Characters of a number that is shown."""


@dataclass(frozen=True)
class PublishedLayer:
    """A layer as it is in force; `revision` is that of the newest event of it."""

    configuration_id: str
    revision: int
    version: int
    words: Mapping[str, str]
    published_at: str = ""


def layer_name(layer: str, module: str | None) -> str:
    """Return the path of a layer, such as `environment` or `module/module-shop`."""
    return f"{layer}/{module}" if module else layer


def layer_id(name: str, environment: EnvironmentKey, tenant: TenantId) -> ConfigurationId:
    """Return the id of the configuration that has the layer *name*."""
    layer, _, module = name.partition("/")
    if layer == ConfigurationLayer.TENANT:
        return configuration_id(tenant_key(tenant), layer)
    of_module = module_key(tenant, ModuleId(module)) if module else None
    return configuration_id(environment, layer, of_module)


def after_publication(
    known: PublishedLayer | None, event: ConfigurationPublished, now: datetime
) -> PublishedLayer | None:
    """Return the layer after *event*; None when it is not newer."""
    if known is not None and event.revision <= known.revision:
        return None
    return PublishedLayer(
        event.configuration_id,
        event.revision,
        event.version,
        words_of(event.values),
        isoformat(now),
    )


def words_of(values: Values) -> dict[str, str]:
    """Return the word of each of *values*."""
    return {key: _word(value) for key, value in values.items()}


def _word(value: Any) -> str:
    plain = _plain(value)
    text = json_text(plain)
    is_number = isinstance(plain, int | float | None) and len(text) <= NUMBER_MAX
    if is_number or _is_reference(plain):
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _is_reference(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    try:
        SecretReference.model_validate(value)
    except ValidationError:
        return False
    return True


def _plain(value: Any) -> Any:
    """Return *value* with one way to write each number: `1.0` is 1, as JSON has it."""
    match value:
        case dict():
            return {key: _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case float() if math.isfinite(value) and value.is_integer():
            return int(value)
        case _:
            return value
