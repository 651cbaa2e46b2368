"""Who set which part of a workload's pods, as the API server keeps it in `managedFields`.

What a request brings belongs to its field manager: `kubectl-edit`, an operator, the platform. What
admission adds to a request belongs to nobody.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import MANAGER
from shared.surfaces.aks.pod_differences import CONTAINERS, limit_path
from shared.surfaces.aks.pods import CONTAINER

_NAME_MAX: Final = 128
"""Characters of the name of a manager, as the API server bounds it."""
_ROUTE: Final = {
    "f:hostnames": ("hosts", "pathPrefix"),
    "f:parentRefs": ("gateways",),
    "f:rules": ("weight", "pathPrefix", "matches", "filters", "timeouts"),
}
"""The fields of a route, whose rules have one owner, and the paths that are read from each."""
_OF_CONTAINER: Final = {
    "f:image": "image", "f:command": "command", "f:args": "command", "f:ports": "port",
    "f:readinessProbe": "probes/readiness", "f:livenessProbe": "probes/liveness",
    "f:startupProbe": "probes/startup",
}  # fmt: skip
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


def authors(workload: Object, route: Object | None) -> Mapping[str, str]:
    """Return who else than the platform set a property of a revision last, by plane and path.

    Nobody is said to have set what the platform has set since: a forced apply takes a field over.
    """
    of_runs = ("f:jobTemplate", "f:spec") if "jobTemplate" in workload["spec"] else ()
    found: dict[str, str] = {}
    for manager, entry in _others(workload):
        spec = _below(entry, "fieldsV1", "f:spec")
        paths = _paths(_below(spec, *of_runs, "f:template", "f:spec"))
        found |= {f"workload/{path}": manager for path in paths}
        if "f:replicas" in spec:
            found["replicas/replicas"] = manager
        if "f:schedule" in spec:
            found["workload/schedule/cron"] = manager
    for manager, entry in _others(route or {"metadata": {}}):
        fields = _below(entry, "fieldsV1", "f:spec")
        for name in _ROUTE.keys() & fields.keys():
            found |= {f"routing/{path}": manager for path in _ROUTE[name]}
    return found


def _others(found: Object) -> list[tuple[str, Object]]:
    """Return the entries of managers that can be shown and are not the platform, oldest first."""
    entries: list[Object] = found["metadata"].get("managedFields") or []
    others = [each for each in entries if each.get("manager") != MANAGER]
    named = [(str(each.get("manager") or ""), each) for each in others]
    shown = [
        (name, each) for name, each in named if name.isprintable() and 0 < len(name) <= _NAME_MAX
    ]
    return sorted(shown, key=lambda each: str(each[1].get("time", "")))


def _paths(pod: Object) -> Iterator[str]:
    yield from (name for name in _fields(pod) if name not in CONTAINERS)
    yield from (f"security/{name}" for name in _fields(_below(pod, "f:securityContext")))
    for kind in CONTAINERS:
        for key, fields in _below(pod, f"f:{kind}").items():
            name = _key(key, "name")
            if kind == "containers" and name == CONTAINER:
                yield from _container_paths(fields)
            elif name:
                yield f"{kind}/{name}"


def _container_paths(container: Object) -> Iterator[str]:
    yield from (path for name, path in _OF_CONTAINER.items() if name in container)
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
