"""Objects that tests make on a cluster, and remove again while others still write to them."""

from http import HTTPStatus

from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.kinds import Kind


async def remove(api: ClusterApi, kind: Kind, name: str, namespace: str | None = None) -> None:
    """Delete the object in whatever state it is; absent is success.

    A controller may write to it between the read and the deletion, which holds to the state read.
    """
    while (found := await api.get(kind, name, namespace)) is not None:
        try:
            await api.delete(kind, found)
        except ApiRefusal as refusal:
            if refusal.status != HTTPStatus.CONFLICT:
                raise
        else:
            return
