"""An API of a test's cluster that a server of this machine answers, behind the cluster's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.surfaces.aks.answer_shapes import mapping
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import SERVICES, Kind

APIS: Final = Kind("apiregistration.k8s.io/v1", "APIService", "apiservices", is_namespaced=False)


@asynccontextmanager
async def aggregated(api: ClusterApi, group: str, port: int) -> AsyncIterator[None]:
    """Let the cluster ask 127.0.0.1:*port* for v1beta1 of *group*, by https, until the end.

    It is one of the whole cluster, so a test that has one is of the group `whole-cluster`.
    """
    service, served = _registration(group, port)
    await api.apply(SERVICES, service)
    await api.apply(APIS, served)
    try:
        yield
    finally:
        for kind, made in ((APIS, served), (SERVICES, service)):
            metadata = made["metadata"]
            path = kind.path(metadata.get("namespace"), metadata["name"])
            await api._json("DELETE", path, shape=mapping)


def _registration(group: str, port: int) -> tuple[Object, Object]:
    metadata = {"name": f"test-{group.replace('.', '-')}", "namespace": "kube-system"}
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }  # fmt: skip
    served = {
        "apiVersion": APIS.version, "kind": APIS.name,
        "metadata": {"name": f"v1beta1.{group}"},
        "spec": {
            "group": group, "version": "v1beta1", "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {**metadata, "port": port},
        },
    }  # fmt: skip
    return service, served
