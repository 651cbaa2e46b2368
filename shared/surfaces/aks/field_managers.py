"""Who set which part of a workload's pods, as the API server keeps it in `managedFields`.

What a request brings belongs to its field manager: `kubectl-edit`, an operator, the platform. What
admission adds to a request belongs to nobody.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import json
from collections.abc import Iterator
from typing import Final

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import MANAGER
from shared.surfaces.aks.pod_differences import CONTAINERS, limit_path
from shared.surfaces.aks.pods import CONTAINER

_ITEM: Final = "k:"
"""Before the key of an item of a list: `k:{"name":"main"}`."""


def set_by_others(workload: Object) -> frozenset[str] | None:
    """Return the paths of additions, as in `pod_differences`, that others than the platform set.

    None where that is not known: the platform is not among those who wrote.
    """
    entries: list[Object] = workload["metadata"].get("managedFields") or []
    of_runs = ("f:jobTemplate", "f:spec") if "jobTemplate" in workload["spec"] else ()
    if not any(each.get("manager") == MANAGER for each in entries):
        return None
    return frozenset(
        path
        for each in entries
        if each.get("manager") != MANAGER
        for path in _paths(_below(each, "fieldsV1", "f:spec", *of_runs, "f:template", "f:spec"))
    )


def _paths(pod: Object) -> Iterator[str]:
    yield from (f"security/{name}" for name in _fields(_below(pod, "f:securityContext")))
    for kind in CONTAINERS:
        for key, fields in _below(pod, f"f:{kind}").items():
            name = _key(key, "name")
            if kind == "containers" and name == CONTAINER:
                yield from _container_paths(fields)
            elif name:
                yield f"{kind}/{name}"


def _container_paths(container: Object) -> Iterator[str]:
    yield from (f"security/{name}" for name in _fields(_below(container, "f:securityContext")))
    yield from (f"environ/{_key(each, 'name')}" for each in _below(container, "f:env"))
    yield from (f"mounts{_key(each, 'mountPath')}" for each in _below(container, "f:volumeMounts"))
    resources = _below(container, "f:resources")
    yield from map(limit_path, _fields(_below(resources, "f:limits")))
    requests = _fields(_below(resources, "f:requests"))
    yield from (f"resources/requests/{name}" for name in requests)


def _fields(fields: Object) -> Iterator[str]:
    return (name.removeprefix("f:") for name in fields if name.startswith("f:"))


def _below(fields: Object, *path: str) -> Object:
    for name in path:
        fields = fields.get(name) or {}
    return fields


def _key(item: str, name: str) -> str:
    return str(json.loads(item.removeprefix(_ITEM)).get(name)) if item.startswith(_ITEM) else ""
