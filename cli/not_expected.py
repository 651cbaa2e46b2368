"""Says who is there to run a version, or why nobody is: by the releases of its module."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from cli.client import Client
from cli.configuration_layers import Layer
from cli.exit_codes import ExitCode
from cli.failure import Failure

_SERVICES: Final = "/v1/runtime/services"
_DEPLOYMENTS: Final = "/v1/runtime/deployments"
_ENDED_BADLY: Final = ("RolledBack", "Failed", "Cancelled")
Deployment = Mapping[str, Any]


def is_pinned(client: Client, layer: Layer) -> bool:
    """Return whether the module of *layer* is given a version only with its deployments.

    Its newest release says so; without one, or where the caller may read none, nothing does.
    """
    component = next(_components(_deployments(client, layer, "Completed"), layer), {})
    return bool(component.get("configurationMode") == "pinned")


def why_nobody(client: Client, layer: Layer, version: int) -> str:
    """Return why nothing that runs is to be given *version* of *layer*."""
    nobody = f"nothing that runs is to be given version {version}"
    if not layer.module:
        return f"{nobody}: pinned modules take it with their next deployment"
    services = _services(client, layer)
    if services is not None and all(service["status"] == "Retired" for service in services):
        return f"{nobody}: {_not_deployed(client, layer)}"
    if is_pinned(client, layer):
        return f"{nobody}: a pinned module takes it with its next deployment"
    return f"{nobody}: no instance of {layer.module} has been heard of"


def require_available(client: Client, layer: Layer, version: int) -> None:
    """Refuse to call a version adopted of whose module nothing is there that could run it.

    Raises:
        Failure: the module of *layer* is Unavailable.
    """
    services = _services(client, layer) if layer.module else None
    if any(service["status"] == "Unavailable" for service in services or ()):
        raise Failure(
            f"version {version} is in force, and no instance of {layer.module} is ready to run it",
            ExitCode.ENDED_OTHERWISE,
            code="NotAdopted",
            remedy=f"see why: `runtimectl logs {layer.module} --env {layer.environment}`",
        )


def _services(client: Client, layer: Layer) -> Sequence[Mapping[str, Any]] | None:
    query = {"environmentId": layer.environment_id, "moduleId": layer.module}
    return client.list_readable(_SERVICES, query)


def _not_deployed(client: Client, layer: Layer) -> str:
    """Return that no release of a module is in force, and how its newest one ended if badly."""
    newest = next(iter(_deployments(client, layer, None)), None)
    if newest and newest["status"] in _ENDED_BADLY and any(_components([newest], layer)):
        return (
            f"no release of {layer.module} is in force in {layer.environment}; its last one,"
            f" {newest['deploymentId']}, ended as {newest['status']}"
        )
    return f"{layer.module} is not deployed in {layer.environment}: its next release takes it"


def _deployments(client: Client, layer: Layer, status: str | None) -> Iterable[Deployment]:
    """Return the deployments of the module of *layer*, newest first; none of other layers."""
    if not layer.module or not layer.environment_id:
        return ()
    query = {"environmentId": layer.environment_id, "moduleId": layer.module, "status": status}
    return client.list_readable(_DEPLOYMENTS, query) or ()


def _components(deployments: Iterable[Deployment], layer: Layer) -> Iterator[Mapping[str, Any]]:
    return (
        component
        for deployment in deployments
        for component in deployment["components"]
        if component["moduleId"] == layer.module
    )
