"""Layers of configuration as they are in force, and their ids. Pure."""

from collections.abc import Mapping

from function_apps.drift.model.configuration_words import words_of
from function_apps.drift.model.environment_scan import EnvironmentScan
from shared.contracts.configurations import ConfigurationLayer, ConfigurationPublished
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import (
    ConfigurationId,
    EnvironmentKey,
    ModuleId,
    TenantId,
    configuration_id,
    module_key,
    tenant_key,
)


@dataclass(frozen=True)
class PublishedLayer:
    """A layer as it is in force; `revision` is that of the newest event of it."""

    configuration_id: str
    revision: int
    version: int
    words: Mapping[str, str]
    has_ended: bool = False
    """Its environment has ended, and took its values away."""


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
    known: PublishedLayer | None, event: ConfigurationPublished, scan: EnvironmentScan | None
) -> PublishedLayer | None:
    """Return the layer after *event*, in the environment of *scan*; None when it is not newer."""
    if known is not None and event.revision <= known.revision:
        return None
    is_over = scan is not None and scan.ended_at is not None
    return PublishedLayer(
        event.configuration_id,
        event.revision,
        event.version,
        words_of(event.values),
        has_ended=is_over and not event.values,
    )
