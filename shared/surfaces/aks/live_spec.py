"""Reads a Deployment back into the spec that it is, whoever changed it since it was applied.

What is as the spec made it is given back in the spec's own words: `$PORT` in a command, say, which
the Deployment has filled in. Only what differs is read from the object.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from shared.surfaces.aks import routes
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.observation import applied_spec
from shared.surfaces.aks.pods import CONTAINER, environ_of, pod_spec
from shared.surfaces.aks.proof import contains
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.spec import CommandProbe, HttpProbe, Probe, Resources, RevisionSpec, TcpProbe

_BYTES: Final[Mapping[str, int]] = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9,
    "T": 10**12,
}  # fmt: skip
"""https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""
_PROBES: Final = {
    "readinessProbe": "readiness", "livenessProbe": "liveness", "startupProbe": "startup",
}  # fmt: skip


def live_spec(deployment: Object, route: Object | None) -> RevisionSpec:
    """Return the spec of *deployment* as it is now.

    Raises:
        Unreadable: it has no container of ours, or values that no spec can have.
    """
    spec = applied_spec(deployment)
    name = deployment["metadata"]["name"]
    containers: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    live = next((each for each in containers if each["name"] == CONTAINER), None)
    if live is None:
        raise Unreadable(f"Deployment {name} has no container {CONTAINER}")
    expected = pod_spec(spec, {})["containers"][0]
    try:
        changes = _changes(spec, live, expected)
    except (KeyError, ValueError, TypeError) as strange:
        raise Unreadable(f"Deployment {name} is as no spec can be: {strange}") from strange
    prefixes = routes.prefixes_of(route) if route is not None else []
    if prefixes and spec.path_prefix not in prefixes:
        changes["path_prefix"] = prefixes[0]
    return replace(spec, **changes)


def _changes(spec: RevisionSpec, live: Object, expected: Object) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if live["image"] != expected["image"]:
        image, _, digest = live["image"].partition("@")
        changes |= {"image": image, "artifact": digest or f"sha256:{'0' * 64}"}
    if live.get("command") != expected.get("command") or live.get("args"):
        words = [*(live.get("command") or ()), *(live.get("args") or ())]
        changes["command"] = tuple(map(_unescaped, words))
    ports = [each["containerPort"] for each in live.get("ports") or ()]
    if ports != [each["containerPort"] for each in expected.get("ports") or ()]:
        changes["port"] = ports[0] if ports else None
    if not contains(live.get("resources") or {}, expected["resources"]) or _more_limits(
        live, expected
    ):
        changes["resources"] = _resources(live)
    for field, name in _PROBES.items():
        if not contains(live.get(field) or {}, expected.get(field) or {}) or (
            field in live and field not in expected
        ):
            changes[name] = _probe(live.get(field))
    return changes | _environ(spec, live)


def _environ(spec: RevisionSpec, live: Object) -> dict[str, Any]:
    """Return the environ, unit and version that differ; `$PORT` stays where it still is meant."""
    expected = environ_of(spec)
    found = {
        each["name"]: _unescaped(each.get("value", ""))
        for each in live.get("env") or ()
        if "valueFrom" not in each
    }
    ours = expected.keys() - spec.environ.keys()
    environ = {
        name: spec.environ[name] if name in spec.environ and value == expected[name] else value
        for name, value in found.items()
        if name not in ours
    }
    changes: dict[str, Any] = {} if environ == dict(spec.environ) else {"environ": environ}
    if found.get("RUNTIME_UNIT") != expected["RUNTIME_UNIT"]:
        changes["unit"] = json.loads(found.get("RUNTIME_UNIT", "{}"))
    if found.get("RUNTIME_VERSION") != expected["RUNTIME_VERSION"]:
        changes["version"] = found.get("RUNTIME_VERSION", "")
    return changes


def _more_limits(live: Object, expected: Object) -> bool:
    limits = (live.get("resources") or {}).get("limits") or {}
    named = {name for name in limits if name in {"memory", "cpu"}}
    return named != (expected["resources"].get("limits") or {}).keys()


def _resources(live: Object) -> Resources:
    limits = (live.get("resources") or {}).get("limits") or {}
    memory, cpu = limits.get("memory"), limits.get("cpu")
    return Resources(
        memory_mb=None if memory is None else round(_number(memory) / 2**20),
        cpu=None if cpu is None else _number(cpu),
    )


def _number(quantity: str) -> float:
    if quantity.endswith("m"):
        return float(quantity[:-1]) / 1000
    for suffix, size in _BYTES.items():
        if quantity.endswith(suffix):
            return float(quantity.removesuffix(suffix)) * size
    return float(quantity)


def _probe(live: Object | None) -> Probe | None:
    if not live:
        return None
    times: dict[str, Any] = {
        "period_s": float(live.get("periodSeconds", 10)),
        "timeout_s": float(live.get("timeoutSeconds", 1)),
        "initial_delay_s": float(live.get("initialDelaySeconds", 0)),
        "failure_threshold": int(live.get("failureThreshold", 3)),
        "success_threshold": int(live.get("successThreshold", 1)),
    }
    if "httpGet" in live:
        return HttpProbe(live["httpGet"]["path"], **times)
    if "exec" in live:
        return CommandProbe(tuple(live["exec"]["command"]), **times)
    return TcpProbe(**times)


def _unescaped(text: str) -> str:
    return text.replace("$$", "$")
