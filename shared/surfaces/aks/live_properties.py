"""What a revision is on the cluster, read from its live objects into the words of its spec.

Each word of the applied spec stays only where the objects are as the spec makes them; elsewhere the
property is what they have. So nothing that the API server fills in or admission adds is a
difference, and no word rests on an annotation of ours alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import REVISION
from shared.surfaces.aks.observation import ComponentObjects, applied_spec, weights_in_force
from shared.surfaces.aks.pods import CONTAINER, pod_spec
from shared.surfaces.aks.quantities import MIB, amount
from shared.surfaces.aks.scalers import Bounds
from shared.surfaces.properties import Plane, Properties, revision_properties
from shared.surfaces.scaling import ReplicasOwner
from shared.surfaces.spec import CommandProbe, HttpProbe, Probe, RevisionSpec, TcpProbe

_UNIT: Final = "RUNTIME_UNIT"
_VERSION: Final = "RUNTIME_VERSION"
_PROBES: Final = {
    "readiness": "readinessProbe",
    "liveness": "livenessProbe",
    "startup": "startupProbe",
}
_HTTP: Final = frozenset({"port", "path", "scheme"})
Corrections = Iterator[tuple[str, str | None]]
"""Paths of the workload with what the cluster has, None for nothing."""


def live_properties(
    objects: ComponentObjects, bounds: Mapping[str, Bounds]
) -> dict[int, Properties]:
    """Return the properties of each revision that is wanted; *bounds* are by Deployment.

    Raises:
        Unreadable: an object is not what the platform wrote.
    """
    specs = [(deployment, applied_spec(deployment)) for deployment in objects.deployments]
    has_port = any(spec.port is not None for _, spec in specs)
    weights = weights_in_force(objects, has_port=has_port)
    found: dict[int, Properties] = {}
    for deployment, spec in specs:
        weight = weights.get(spec.revision, 0)
        live = replace(spec, unit=_unit(deployment))
        planes = {
            plane: dict(words) for plane, words in revision_properties(live, weight=weight).items()
        }
        for path, word in _corrections(deployment, spec):
            _correct(planes[Plane.WORKLOAD], path, word)
        if weight and objects.route is not None:
            prefixes = _prefixes(objects.route)
            if (spec.path_prefix is not None or prefixes) and spec.path_prefix not in prefixes:
                _correct(planes[Plane.ROUTING], "pathPrefix", ", ".join(prefixes) or None)
        scaled = bounds.get(deployment["metadata"]["name"])
        if scaled is not None:
            planes[Plane.REPLICAS] = {
                "owner": ReplicasOwner.SURFACE,
                "minimum": str(scaled.minimum),
                "maximum": str(scaled.maximum),
            }
        found[int(deployment["metadata"]["labels"][REVISION])] = planes
    return found


def _correct(words: dict[str, str], path: str, word: str | None) -> None:
    if word is not None:
        words[path] = word
    elif path in words:
        del words[path]
    else:
        words[path] = ""  # it has no word where it is as it should be


def _corrections(deployment: Object, spec: RevisionSpec) -> Corrections:
    """Yield each part of the container that is not as *spec* makes it."""
    template: Object = deployment["spec"]["template"]["spec"]
    live = _container(template)
    expected = _container(pod_spec(spec, {}))
    if live.get("image") != expected["image"]:
        yield "image", live.get("image")
    if _words(live) != _words(expected):
        yield "command", json.dumps(_words(live)) if _words(live) else None
    if _port(live) != _port(expected):
        yield "port", None if _port(live) is None else str(_port(live))
    yield from _environ_corrections(_environ(live), _environ(expected))
    yield from _probe_corrections(live, expected, spec)
    yield from _limit_corrections(live, expected)


def _environ_corrections(live: Mapping[str, str], expected: Mapping[str, str]) -> Corrections:
    for name in sorted({*live, *expected}):
        if name != _UNIT and live.get(name) != expected.get(name):
            path = "version" if name == _VERSION else f"environ/{name}"
            yield path, live.get(name)


def _probe_corrections(live: Object, expected: Object, spec: RevisionSpec) -> Corrections:
    for name, field in _PROBES.items():
        is_now = _probe(live.get(field), spec.port)
        if is_now == _probe(expected.get(field), spec.port):
            continue
        path = f"probes/{name}"
        if is_now is None or isinstance(is_now, str):
            yield path, is_now
        else:
            probes: dict[str, Any] = {name: is_now}
            changed = replace(spec, **probes)
            yield path, revision_properties(changed, weight=0)[Plane.WORKLOAD][path]


def _limit_corrections(live: Object, expected: Object) -> Corrections:
    for name, path, unit in (("cpu", "cpu", 1), ("memory", "memoryMib", MIB)):
        is_now, should_be = (_limit(each, name) for each in (live, expected))
        if is_now != should_be:
            yield f"resources/{path}", None if is_now is None else f"{float(is_now / unit):g}"


def _container(pod: Object) -> Object:
    containers: list[Object] = pod["containers"]
    return next((each for each in containers if each["name"] == CONTAINER), {})


def _words(container: Object) -> list[str]:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return [_text(word) for word in words]


def _port(container: Object) -> int | None:
    ports: list[Object] = container.get("ports") or []
    return int(ports[0]["containerPort"]) if ports else None


def _environ(container: Object) -> dict[str, str]:
    environ = {}
    for each in container.get("env") or ():
        source = each.get("valueFrom")
        value = _text(each.get("value", ""))
        environ[each["name"]] = json.dumps(source, sort_keys=True) if source else value
    return environ


def _text(literal: str) -> str:
    """Undo what keeps Kubernetes from filling in `$(NAME)`."""
    return literal.replace("$$", "$")


def _unit(deployment: Object) -> Mapping[str, str]:
    """Return what the pods are told of their release unit; what is no JSON stands for its hash."""
    text = _environ(_container(deployment["spec"]["template"]["spec"])).get(_UNIT, "{}")
    try:
        unit = json.loads(text)
    except (ValueError, RecursionError):
        return {"configurationHash": text}
    is_plain = isinstance(unit, dict) and all(isinstance(each, str) for each in unit.values())
    return unit if is_plain else {"configurationHash": text}


def _probe(found: Object | None, port: int | None) -> Probe | str | None:
    """Return the probe, with the API server's defaults; JSON where a spec has no word for it."""
    if found is None:
        return None
    times: dict[str, Any] = {
        "period_s": float(found.get("periodSeconds") or 10),
        "timeout_s": float(found.get("timeoutSeconds") or 1),
        "initial_delay_s": float(found.get("initialDelaySeconds") or 0),
        "failure_threshold": int(found.get("failureThreshold") or 3),
        "success_threshold": int(found.get("successThreshold") or 1),
    }
    match found:
        case {"httpGet": dict(asks)} if asks.keys() <= _HTTP and asks["port"] == port:
            if asks.get("scheme", "HTTP") == "HTTP":
                return HttpProbe(str(asks.get("path", "/")), **times)
        case {"tcpSocket": {"port": asked}} if asked == port:
            return TcpProbe(**times)
        case {"exec": {"command": command}}:
            return CommandProbe(tuple(command), **times)
        case _:
            pass
    return json.dumps(found, sort_keys=True)


def _limit(container: Object, name: str) -> Decimal | None:
    limits = (container.get("resources") or {}).get("limits") or {}
    return None if limits.get(name) is None else amount(limits[name])


def _prefixes(route: Object) -> list[str]:
    """Return the paths that lead to a component; none where it has a host of its own."""
    rules: list[Object] = route["spec"].get("rules") or []
    matches: list[Object] = [match for rule in rules for match in rule.get("matches") or [{}]]
    prefixes = sorted(str((match.get("path") or {}).get("value", "/")) for match in matches)
    return [] if route["spec"].get("hostnames") and prefixes == ["/"] else prefixes
