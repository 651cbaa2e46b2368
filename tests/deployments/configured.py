"""Layers of configuration, as deployments is told of them, and what instances are given."""

from collections.abc import Mapping
from typing import Any, Final

from function_apps.deployments.use_cases.record_configuration import record_configuration
from shared.contracts.configuration_merge import hash_of
from shared.contracts.configurations import ConfigurationPublished
from shared.kernel.ids import ModuleId, configuration_id, module_key, parse_id, tenant_key
from shared.surfaces.configuration import ConfigurationTexts
from tests.deployments.driven import SHOP, TEST, Driven
from tests.kit.service import TENANT

KEY: Final = parse_id(TEST, "env").environment
LAYERS: Final = ("tenant", "environment", "module")


def identity(layer: str, module: str = SHOP) -> str:
    """Return the id of the configuration of *layer*."""
    if layer == "tenant":
        return configuration_id(tenant_key(TENANT), layer)
    of = module_key(TENANT, ModuleId(module)) if layer == "module" else None
    return configuration_id(KEY, layer, of)


def said(
    layer: str, version: int, values: Mapping[str, Any], *, module: str = SHOP, **more: Any
) -> ConfigurationPublished:
    """Return the event that *version* of *layer* says *values*; its revision is the version."""
    environment = None if layer == "tenant" else TEST
    return ConfigurationPublished.model_validate(
        {
            "aggregateId": identity(layer, module),
            "revision": version,
            "configurationId": identity(layer, module),
            "environmentId": environment,
            "moduleId": module if layer == "module" else None,
            "layer": layer,
            "scope": "it",
            "version": version,
            "contentHash": hash_of(values),
            "status": "Published",
            "values": values,
            **more,
        }
    )


async def publish(
    world: Driven, layer: str, version: int, values: Mapping[str, Any], **more: Any
) -> None:
    await record_configuration(said(layer, version, values, **more), world.ctx, world.app)


def texts(world: Driven, revision: int, module: str = SHOP) -> ConfigurationTexts | None:
    """Return what instances of *revision* are given on the surface."""
    component = world.world.component(world.surface_component(module))
    given = component.revisions[revision].spec.configuration
    return given.texts if given else None
