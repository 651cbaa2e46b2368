"""The layers of isolation, and what a surface must be able to for each. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from function_apps.tenants.errors import IsolationNotSupported
from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.values import IsolationModel
from shared.kernel.errors import Violation
from shared.surfaces.capabilities import Feature

LAYERS: Final[Mapping[IsolationLayer, tuple[Feature, ...]]] = {
    IsolationLayer.COMPUTE: (Feature.NAMESPACES, Feature.OWN_PROCESSES),
    IsolationLayer.NETWORK: (Feature.NETWORK_POLICY,),
    IsolationLayer.DATA: (Feature.TENANT_DATA,),
    IsolationLayer.SECRETS: (Feature.TENANT_SECRETS,),
    IsolationLayer.QUOTA: (Feature.QUOTAS,),
    IsolationLayer.IDENTITY: (Feature.TENANT_IDENTITY,),
}
"""A surface isolates a layer by any one of its features."""
MODELS: Final[Mapping[IsolationModel, tuple[IsolationLayer, ...]]] = {
    IsolationModel.SHARED: (),
    IsolationModel.POOL: (IsolationLayer.COMPUTE,),
    IsolationModel.SILO: (IsolationLayer.COMPUTE,),
}
"""The layers that a model of isolation stands on, whatever else is required."""


def require_isolated(
    requires: Sequence[IsolationLayer],
    quota: Quota,
    model: IsolationModel,
    targets: Sequence[ComputeTarget],
    *,
    is_owner: bool,
    admits: Sequence[str],
) -> None:
    """Refuse what not every one of *targets* can do, and a silo where others are admitted.

    Raises:
        IsolationNotSupported: with each layer that is lacking, and the surface that lacks it.
    """
    asked = [(f"/requires/{at}", layer, "") for at, layer in enumerate(requires)]
    asked += [("/isolationModel", layer, f", which {model} needs") for layer in MODELS[model]]
    if quota != Quota():
        asked.append(("/quota", IsolationLayer.QUOTA, ", which a quota needs"))
    lacking = [
        _violation(pointer, layer, target, why)
        for pointer, layer, why in asked
        for target in targets
        if not isolates(target, layer)
    ]
    if quota.requests_per_second is not None:
        lacking.append(
            Violation(
                "NotSupported",
                "/quota/requestsPerSecond",
                "no surface counts the requests of a tenant",
                "cpu, memoryMib or instances",
                str(quota.requests_per_second),
            )
        )
    if model is IsolationModel.SILO and not is_owner:
        lacking.append(
            Violation(
                "NotSupported",
                "/isolationModel",
                "a silo is an environment of the tenant's own: nodes of its own in another"
                " tenant's are not built yet",
                "pool or shared, or an environment of the tenant's own",
                model,
            )
        )
    if model is IsolationModel.SILO and is_owner and admits:
        lacking.append(
            Violation(
                "NotSupported",
                "/isolationModel",
                f"a silo is of its owner alone, and the environment admits {', '.join(admits[:5])}",
                "an environment that admits nobody, or pool or shared",
                model,
            )
        )
    if lacking:
        raise IsolationNotSupported(lacking)


def isolates(target: ComputeTarget, layer: IsolationLayer) -> bool:
    """Return whether *target* keeps tenants apart in *layer*."""
    return any(feature in target.capabilities for feature in LAYERS[layer])


def _violation(pointer: str, layer: IsolationLayer, target: ComputeTarget, why: str) -> Violation:
    needed = " or ".join(LAYERS[layer])
    return Violation(
        "NotSupported",
        pointer,
        f"{target.kind} does not isolate tenants by {layer}{why}: it has no {needed}",
        f"an environment whose targets all have {needed}",
        layer,
    )
