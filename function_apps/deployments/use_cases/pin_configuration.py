"""The configuration that a command pins: the newest versions recorded, or those that it names."""

from collections.abc import Iterator, Mapping

from function_apps.deployments.model import configuration
from function_apps.deployments.model.configuration import Configurations, Layers
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import LayerFact
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TENANT_LAYERS
from function_apps.deployments.use_cases.configuration_content import put_content, read_recorded
from shared.contracts.configuration_merge import (
    ORDER,
    LayerContent,
    Merge,
    Values,
    merge,
)
from shared.contracts.deployments import Deploy
from shared.contracts.values import ModuleId
from shared.kernel.context import Context
from shared.kernel.errors import Violation
from shared.persistence.store import Partition


async def configure(
    command: Deploy, target: DeploymentTarget, ctx: Context, app: DeploymentsApp
) -> Configurations:
    """Return what the modules of *command* would be given now; keep nothing.

    What does not fit a schema of its layers is among the refusals.

    Raises:
        Unavailable: the content of a layer is not there.
    """
    tenant_layer = await load_tenant_layer(ctx, app)
    layers: dict[ModuleId, Layers] = {}
    refusals: list[Violation] = []
    for component in command.components:
        module = component.module_id
        layers[module], refused = configuration.layers_of(
            module, command.configuration, tenant_layer, target.facts
        )
        refusals += refused
    refusals += _of_no_layer(command, ctx)
    if refusals:
        return Configurations(refusals=tuple(dict.fromkeys(refusals)))
    contents = await _contents(layers, ctx, app)
    merges = {module: _merged(of_module, contents) for module, of_module in layers.items()}
    return Configurations(
        {module: each.pin for module, each in merges.items()},
        {module: each.values for module, each in merges.items()},
        tuple(
            refusal
            for module, each in merges.items()
            for refusal in configuration.misfit_refusals(each, module)
        ),
    )


async def _contents(
    layers: Mapping[ModuleId, Layers], ctx: Context, app: DeploymentsApp
) -> Mapping[str, Values]:
    hashes = {
        content_hash
        for of_module in layers.values()
        for each in of_module.values()
        for content_hash in (each.content_hash, each.schema_hash)
        if content_hash
    }
    return {each: await read_recorded(each, ctx.tenant, app) for each in sorted(hashes)}


def _merged(layers: Layers, contents: Mapping[str, Values]) -> Merge:
    return merge(
        {
            layer: LayerContent(
                each.version,
                contents[each.content_hash],
                contents[each.schema_hash] if each.schema_hash else None,
            )
            for layer, each in layers.items()
            if each.version
        }
    )


async def load_tenant_layer(ctx: Context, app: DeploymentsApp) -> LayerFact | None:
    """Return what is recorded of the tenant's own layer of configuration."""
    document = TENANT_LAYERS.document_id(ctx.tenant)
    view = await app.service.work.read(Partition(ctx.tenant, "-"), document)
    return view.get(TENANT_LAYERS, ctx.tenant).fact


async def keep_merges(given: Configurations, ctx: Context, app: DeploymentsApp) -> None:
    """Keep the merges that a deployment is about to pin."""
    for module, pin in given.pins.items():
        if pin.hash is not None:
            await put_content(given.values[module], ctx.tenant, app)


def _of_no_layer(command: Deploy, ctx: Context) -> Iterator[Violation]:
    """Yield a refusal of a `configurationId` that is none of the layers of *command*."""
    wanted = command.configuration.configuration_id if command.configuration else None
    if wanted is None:
        return
    ids = [
        configuration.identity_of(layer, command.environment_id, each.module_id, ctx.tenant)
        for each in command.components
        for layer in ORDER
    ]
    if wanted not in ids:
        yield Violation(
            "ConfigurationNotOfRelease",
            "/configuration/configurationId",
            f"{wanted} is no layer of this release: expected {', '.join(ids[:3])}",
            "a layer of the tenant, the environment or one of the modules",
            wanted,
        )
