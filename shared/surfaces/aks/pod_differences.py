"""Where a pod is as its spec made it, and where not: decided here, for proofs and live properties.

Live and expected are brought into one form first, with the API server's defaults and quantities as
numbers, so what it fills in is no difference. Anything else is one, by its path: what somebody
changed, and also what was added. Of that, what admission of the cluster adds to every pod can be
told apart: a sidecar, a variable, a bound. It is the cluster's, as its nodes are.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.pods import CONTAINER
from shared.surfaces.aks.quantities import MIB, amount
from shared.surfaces.properties import probe_in_words
from shared.surfaces.shown_words import ANOTHER
from shared.surfaces.spec import CommandProbe, HttpProbe, Probe, TcpProbe

Difference: TypeAlias = tuple[str, str | None, str | None]
"""Path, live word, expected word; None where there is nothing. Paths are those of properties."""
CONTAINERS: Final = ("containers", "initContainers")
_LISTS: Final = (*CONTAINERS, "ephemeralContainers")
_OF_POD: Final[Mapping[str, object]] = {
    "serviceAccountName": "default",
    "automountServiceAccountToken": True,
    "enableServiceLinks": True,
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "hostUsers": True,
    "shareProcessNamespace": False,
    "dnsPolicy": "ClusterFirst",
    "dnsConfig": None,
    "hostAliases": None,
    "runtimeClassName": None,
    "restartPolicy": "Always",
    "activeDeadlineSeconds": None,
}
"""What of a pod is compared, with what it is where it is not said. The rest is the scheduler's."""
_SECURITY: Final[Mapping[str, object]] = {
    "allowPrivilegeEscalation": True,
    "privileged": False,
    "readOnlyRootFilesystem": False,
    "runAsNonRoot": False,
    "procMount": "Default",
}
_READ: Final = frozenset(
    {
        "name", "image", "command", "args", "ports", "env", "resources", "securityContext",
        "volumeMounts", "lifecycle", "readinessProbe", "livenessProbe", "startupProbe",
    }
)  # fmt: skip
_FILLED_IN: Final = frozenset(
    {"imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy", "resizePolicy"}
)
"""Of a container, what changes neither what runs nor its rights: an image by digest is one image.
"""
_LIMITS: Final = {"cpu": ("cpu", 1), "memory": ("memoryMib", MIB)}
_ADDITIONS: Final = ("containers/", "initContainers/", "environ/", "mounts/", "resources/")
_HARDENING: Final = frozenset(
    {
        "security/runAsUser",
        "security/runAsGroup",
        "security/fsGroup",
        "security/fsGroupChangePolicy",
    }
)
"""Whom a process runs as, where the spec leaves that to the image."""
_ROOT: Final = "0"
_GRACE_S: Final = 30
_PROBE_DEFAULTS: Final = {
    "periodSeconds": 10, "timeoutSeconds": 1, "initialDelaySeconds": 0, "failureThreshold": 3,
    "successThreshold": 1,
}  # fmt: skip
_SECRET: Final = '"secretKeyRef"'  # noqa: S105  of a source
_HTTP: Final = frozenset({"port", "path", "scheme"})


def differences(live: Object, expected: Object) -> tuple[Difference, ...]:
    """Return what of the pod spec *live* is not as in *expected*, by path.

    Raises:
        ValueError: a quantity is none.
    """
    port = next((each["containerPort"] for each in _main(expected).get("ports") or ()), None)
    is_now, should_be = dict(_words(live, port)), dict(_words(expected, port))
    return tuple(
        (path, _shown(is_now.get(path), should_be.get(path)), should_be.get(path))
        for path in sorted({*is_now, *should_be})
        if is_now.get(path) != should_be.get(path)
    )


def without_admission(
    found: tuple[Difference, ...], set_by_others: frozenset[str] | None
) -> tuple[Difference, ...]:
    """Return *found* without what admission added and the spec says nothing of.

    *set_by_others* are the paths that somebody else set, see `field_managers`; None: not known.
    A container that is attached to a running pod is somebody's.
    """
    if set_by_others is None:
        return found
    return tuple(
        (path, live, asked)
        for path, live, asked in found
        if not (asked is None and path not in set_by_others and _may_be_added(path, live))
    )


def _may_be_added(path: str, live: str | None) -> bool:
    return path.startswith(_ADDITIONS) or (path in _HARDENING and live != _ROOT)


def limit_path(name: str) -> str:
    """Return the path of the limit *name* of a container's resources."""
    return f"resources/{_LIMITS.get(name, (f'limits/{name}', 1))[0]}"


def _shown(live: str | None, expected: str | None) -> str | None:
    """Return *live*, but for what stands where a secret was to be: it may be that secret."""
    return ANOTHER if live and expected and _SECRET in expected else live


def _main(pod: Object) -> Object:
    containers: list[Object] = pod.get("containers") or []
    return next((each for each in containers if each["name"] == CONTAINER), {})


def _words(pod: Object, port: int | None) -> Iterator[tuple[str, str]]:
    container = _main(pod)
    for kind in _LISTS:
        for each in pod.get(kind) or ():
            if each is not container:
                yield f"{kind}/{each['name']}", str(each.get("image", ""))
    for name, default in _OF_POD.items():
        value = default if pod.get(name) is None else pod[name]
        if value != default:
            yield name, _text(value)
    yield from _security_words(pod, container)
    yield from _stop_words(pod, container)
    yield from _container_words(container)
    yield from _mount_words(pod, container)
    for name in ("readiness", "liveness", "startup"):
        if probe := container.get(f"{name}Probe"):
            yield f"probes/{name}", _probe_words(probe, port)


def _container_words(container: Object) -> Iterator[tuple[str, str]]:
    if "image" in container:
        yield "image", container["image"]
    if words := [*(container.get("command") or ()), *(container.get("args") or ())]:
        yield "command", json.dumps(words)
    if ports := container.get("ports"):
        yield "port", ", ".join(map(_port_words, ports))
    for variable in container.get("env") or ():
        name = variable["name"]
        source = variable.get("valueFrom")
        path = "version" if name == "RUNTIME_VERSION" else f"environ/{name}"
        yield path, _text(source) if source else variable.get("value", "")
    resources = container.get("resources") or {}
    for name, value in (resources.get("limits") or {}).items():
        unit = _LIMITS.get(name, (name, 1))[1]
        yield limit_path(name), f"{(amount(value) / unit).normalize():f}"
    for name, value in (resources.get("requests") or {}).items():
        yield f"resources/requests/{name}", f"{amount(value).normalize():f}"
    for name, value in container.items():
        if name not in _READ | _FILLED_IN and value not in (None, False, "", [], {}):
            yield name, _text(value)


def _port_words(port: Object) -> str:
    host = port.get("hostPort")
    return f"{port['containerPort']} at {host} of the node" if host else str(port["containerPort"])


def _security_words(pod: Object, container: Object) -> Iterator[tuple[str, str]]:
    """Yield what is in force: the container's word goes before the pod's."""
    said = {**(pod.get("securityContext") or {}), **(container.get("securityContext") or {})}
    in_force = {**_SECURITY, **{name: value for name, value in said.items() if value is not None}}
    for name, value in in_force.items():
        if value not in ([], {}):
            yield f"security/{name}", _text(value)


def _stop_words(pod: Object, container: Object) -> Iterator[tuple[str, str]]:
    whole_s = pod.get("terminationGracePeriodSeconds")
    whole_s = _GRACE_S if whole_s is None else whole_s
    match container.get("lifecycle") or {}:
        case {"preStop": {"sleep": {"seconds": drain_s}}, **others} if not others:
            yield "drainS", str(drain_s)
            whole_s -= drain_s
        case {**hooks} if hooks:
            yield "drainS", _text(hooks)
        case _:
            yield "drainS", "0"
    yield "graceS", str(whole_s)


def _mount_words(pod: Object, container: Object) -> Iterator[tuple[str, str]]:
    volumes = {each["name"]: each for each in pod.get("volumes") or ()}
    for mount in container.get("volumeMounts") or ():
        source = {
            kind: value
            for kind, value in volumes.get(mount["name"], {}).items()
            if kind != "name" and value is not None
        }
        if (source.get("emptyDir") or {}).get("sizeLimit"):
            limit = f"{amount(source['emptyDir']['sizeLimit']).normalize():f}"
            source["emptyDir"] = {**source["emptyDir"], "sizeLimit": limit}
        how = {name: value for name, value in mount.items() if name != "mountPath" and value}
        yield f"mounts{mount['mountPath']}", _text({**how, **source})


def _probe_words(found: Object, port: int | None) -> str:
    """Return the probe in the words of properties; in JSON where a spec has no word for it."""
    whole = {**_PROBE_DEFAULTS, **{name: value for name, value in found.items() if value}}
    times: dict[str, Any] = {
        "period_s": whole["periodSeconds"],
        "timeout_s": whole["timeoutSeconds"],
        "initial_delay_s": whole["initialDelaySeconds"],
        "failure_threshold": whole["failureThreshold"],
        "success_threshold": whole["successThreshold"],
    }
    probe: Probe | None = None
    match whole:
        case {"httpGet": dict(asks)} if asks.keys() <= _HTTP and asks["port"] == port:
            if asks.get("scheme", "HTTP") == "HTTP":
                probe = HttpProbe(str(asks.get("path", "/")), **times)
        case {"tcpSocket": {"port": asked, **others}} if asked == port and not others:
            probe = TcpProbe(**times)
        case {"exec": {"command": command}}:
            probe = CommandProbe(tuple(command), **times)
        case _:
            pass
    is_plain = len(whole) == len(_PROBE_DEFAULTS) + 1
    return _text(whole) if probe is None or not is_plain else probe_in_words(probe)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
