"""Where the requests of a revision come from on the cluster, beside its weight and its paths.

Only what is not as the platform makes it has a word: another backend or host of the route, what the
route does with requests, and Services that lead elsewhere. What the API server fills in has none.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import component_name, revision_name
from shared.surfaces.aks.revisions import SERVICE_PORT
from shared.surfaces.aks.routes import host_name
from shared.surfaces.spec import RevisionSpec

Words = Iterator[tuple[str, str]]
_OF_RULE: Final = frozenset({"name", "matches", "backendRefs"})
_OF_BACKEND: Final = {
    "group": "", "kind": "Service", "name": "", "port": SERVICE_PORT, "weight": 1,
}  # fmt: skip
"""With what the API server fills in."""
_OF_PARENT: Final = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
"""What the API server fills in; the namespace is the route's own."""
_ABSENT: Final = "absent"
_NONE: Final = "none"


def route_words(route: Object, spec: RevisionSpec, parent: Object) -> Words:
    """Yield what the route of a component does beside sending its paths to its revisions.

    *parent* is the reference to the Gateway from which it is to have its requests.
    """
    asked = route["spec"]
    hosts = [str(each) for each in asked.get("hostnames") or ()]
    if hosts not in ([], [host_name(spec.component)]):
        yield "hosts", ", ".join(sorted(hosts))
    own = {**_OF_PARENT, "namespace": route["metadata"]["namespace"]}
    gateways = [{**own, **each} for each in asked.get("parentRefs") or ()]
    if gateways != [{**own, **parent}]:
        yield "gateways", ", ".join(sorted(map(_parent_words, gateways))) or _NONE
    stem = revision_name(spec.component, 0).removesuffix("0")
    for rule in asked.get("rules") or ():
        yield from ((name, _text(rule[name])) for name in rule.keys() - _OF_RULE if rule[name])
        if others := [match for match in rule.get("matches") or () if not _is_prefix(match)]:
            yield "matches", _text(others)
        for backend in rule.get("backendRefs") or ():
            if backend.get("weight", 1) and not _is_ours(backend, stem):
                yield f"backends/{backend['name']}", _text(backend)


def service_words(
    services: Iterable[Object], workload: Object, spec: RevisionSpec, *, is_first: bool
) -> Words:
    """Yield where the Services of a revision lead elsewhere than to its pods.

    That of the component leads to the revision that *is_first* by its weight.
    """
    found = {each["metadata"]["name"]: each for each in services}
    labels = workload["spec"]["selector"]["matchLabels"]
    names = {"backend": revision_name(spec.component, spec.revision)}
    if is_first:
        names["service"] = component_name(spec.component.module)
    for path, name in names.items():
        if name not in found:
            yield path, _ABSENT
            continue
        asked = found[name]["spec"]
        if (selector := asked.get("selector")) != labels:
            yield f"{path}/selector", _text(selector)
        ports = [(each.get("port"), each.get("targetPort")) for each in asked.get("ports") or ()]
        if ports != [(SERVICE_PORT, spec.port)]:
            yield f"{path}/ports", ", ".join(f"{port} to {target}" for port, target in ports)
        if asked.get("type", "ClusterIP") != "ClusterIP":
            yield f"{path}/type", str(asked["type"])
        if addresses := asked.get("externalIPs"):
            yield f"{path}/externalIPs", _text(addresses)


def _parent_words(reference: Object) -> str:
    others = {
        name: value
        for name, value in reference.items()
        if name not in {"name", "namespace"} and value != _OF_PARENT.get(name)
    }
    name = f"{reference['namespace']}/{reference.get('name')}"
    return f"{name} {_text(others)}" if others else name


def _is_prefix(match: Object) -> bool:
    is_plain = match.keys() <= {"path"}
    return is_plain and (match.get("path") or {}).get("type", "PathPrefix") == "PathPrefix"


def _is_ours(backend: Object, stem: str) -> bool:
    """Return whether *backend* is the Service of a revision, as the platform names it."""
    whole = {**_OF_BACKEND, **backend}
    named = {**_OF_BACKEND, "name": whole["name"], "weight": whole["weight"]}
    number = str(whole["name"]).removeprefix(stem)
    return whole == named and str(whole["name"]).startswith(stem) and number.isdecimal()


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
