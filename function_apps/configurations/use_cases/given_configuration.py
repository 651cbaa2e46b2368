"""The configuration that a module was given, and publishes since that changed it."""

from typing import Final

from function_apps.configurations import repository
from function_apps.configurations.errors import ConfigurationNotFound
from function_apps.configurations.model.adoption import ModuleAdoption
from function_apps.configurations.model.configuration import Version
from function_apps.configurations.ports import ConfigurationsApp
from shared.contracts.configuration_merge import LayerContent, merge, versions_of
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.releases import ConfigurationPin
from shared.kernel.context import Context

_READ_MAX: Final = 20
"""Versions that were published since a release; of more nobody knows what they said."""


async def is_as_given(
    adoption: ModuleAdoption,
    given: ConfigurationPin,
    current: ConfigurationPin,
    ctx: Context,
    app: ConfigurationsApp,
) -> bool:
    """Return whether nothing that was published since a module had *given* changed its merge.

    A version of a layer may say what a later layer says otherwise. An instance that does not ask
    may have taken what was in force in between, so each version is looked at.
    """
    if current.hash != given.hash or current == given:
        return current == given
    layers = repository.layers_of(adoption.environment_id, adoption.module_id)
    before, now = versions_of(given), versions_of(current)
    since = {layer: range(before[layer.kind] + 1, now[layer.kind] + 1) for layer in layers}
    if sum(map(len, since.values())) > _READ_MAX:
        return False
    contents: dict[ConfigurationLayer, LayerContent] = {}
    published: list[tuple[ConfigurationLayer, Version]] = []
    try:
        for layer in layers:
            identity, number = repository.id_of(layer, ctx.tenant), before[layer.kind]
            if number:
                found = await repository.load_version(identity, number, ctx, app)
                contents[layer.kind] = found.content
            for each in since[layer]:
                version = await repository.load_version(identity, each, ctx, app)
                published += [] if version.is_draft else [(layer.kind, version)]
    except ConfigurationNotFound:  # it was removed: nobody comes back to it
        return False
    for kind, version in sorted(published, key=lambda each: each[1].at):
        contents[kind] = version.content
        if merge(contents).hash != given.hash:
            return False
    return True
