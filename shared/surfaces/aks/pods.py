"""The pod of a revision: what the kubelet is told to run, from the spec alone."""

import json
import math
from collections.abc import Mapping
from typing import Final

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import revision_name
from shared.surfaces.aks.platform_access import FOLDER as API_FOLDER
from shared.surfaces.aks.platform_access import PlatformAccess, account_of
from shared.surfaces.aks.secret_classes import DRIVER
from shared.surfaces.configuration import FOLDER as CONFIGURATION_FOLDER
from shared.surfaces.secret_references import FOLDER as SECRETS_FOLDER
from shared.surfaces.secret_references import variables_of
from shared.surfaces.spec import CommandProbe, HttpProbe, Probe, Resources, RevisionSpec
from shared.surfaces.variables import expand

CONTAINER: Final = "main"
HOME: Final = "/runtime/home"
CONFIGURATION: Final = "/runtime/configuration"
SECRETS: Final = "/runtime/secrets"
_READ_ONLY: Final = 0o444
"""Of files that root owns: the pod's user, whichever its image has, reads them."""
SCRATCH: Final = "/tmp"  # noqa: S108  a volume of the pod's own
SCRATCH_LIMIT: Final = "256Mi"
"""Of the home and of the temporary folder each; a pod that writes more is evicted."""
WORKER_READY_S: Final = 1
"""A worker is ready when it has run for one second."""


def variables(spec: RevisionSpec) -> dict[str, str]:
    """Return what the variables of `variables.py` are in a pod."""
    port = {} if spec.port is None else {"PORT": str(spec.port)}
    files = {CONFIGURATION_FOLDER: CONFIGURATION} if _configured_files(spec) else {}
    if spec.secrets:
        files[SECRETS_FOLDER] = SECRETS
    return {**port, **files, "HOME": HOME, "TMPDIR": SCRATCH}


def environ_of(spec: RevisionSpec, access: PlatformAccess | None = None) -> dict[str, str]:
    """Return the environ of each instance, without its own name."""
    ours = variables(spec)
    return {
        **{name: expand(value, ours) for name, value in spec.environ.items()},
        **ours,
        **({} if access is None else access.environ),
        "RUNTIME_ENVIRONMENT_ID": spec.component.environment,
        "RUNTIME_TENANT_ID": spec.component.tenant,
        "RUNTIME_MODULE_ID": spec.component.module,
        "RUNTIME_RELEASE_REVISION": str(spec.revision),
        "RUNTIME_VERSION": spec.version,
        "RUNTIME_ARTIFACT": spec.artifact,
        "RUNTIME_UNIT": json.dumps(dict(spec.unit), sort_keys=True),
    }


def image_of(spec: RevisionSpec) -> str:
    return f"{spec.image}@{spec.artifact}"


def pod_spec(
    spec: RevisionSpec, labels: Mapping[str, str], access: PlatformAccess | None = None
) -> Object:
    """Return the `spec` of the pods of a revision, which have *labels*.

    With *access* they act as the account of their revision, and follow their configuration.
    """
    drain_s, grace_s = 0 if spec.ends else math.ceil(spec.drain_s), math.ceil(spec.grace_s)
    return {
        **_end(spec),
        **({} if access is None else {"serviceAccountName": account_of(spec)}),
        "containers": [_container(spec, drain_s, access)],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # the environ is the spec's
        "terminationGracePeriodSeconds": drain_s + grace_s,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(labels)},
            }
        ],
        "volumes": [
            *(
                {"name": name, "emptyDir": {"sizeLimit": SCRATCH_LIMIT}}
                for name in ("home", "scratch")
            ),
            *(volume for _, volume in _given_volumes(spec, access)),
        ],
    }


def time_limit_s(spec: RevisionSpec) -> int | None:
    """Return the whole seconds that a run of *spec* may take; None where it does not end."""
    limited = spec.runs_once or spec.schedule
    return None if limited is None else math.ceil(limited.time_limit_s)


def _end(spec: RevisionSpec) -> Object:
    """Return what a pod has that runs to its end: another try is another pod, which is told."""
    if not spec.ends:
        return {}
    return {"restartPolicy": "Never", "activeDeadlineSeconds": time_limit_s(spec)}


def _configured_files(spec: RevisionSpec) -> list[str]:
    return sorted(spec.configuration.files) if spec.configuration else []


def _given_volumes(spec: RevisionSpec, access: PlatformAccess | None) -> list[tuple[str, Object]]:
    """Return the volumes of its configuration, secrets and token, each with its place."""
    name, volumes = revision_name(spec.component, spec.revision), []
    if files := [{"key": each, "path": each} for each in _configured_files(spec)]:
        source = {"name": name, "items": files, "defaultMode": _READ_ONLY}
        volumes.append((CONFIGURATION, {"name": "configuration", "configMap": source}))
    if spec.secrets:
        attributes = {"secretProviderClass": name}
        csi = {"driver": DRIVER, "readOnly": True, "volumeAttributes": attributes}
        volumes.append((SECRETS, {"name": "secrets", "csi": csi}))
    if access is not None:
        volumes.append((API_FOLDER, access.volume(_READ_ONLY)))
    return volumes


def _given_environ(spec: RevisionSpec) -> list[Object]:
    """Return variables whose values are in other objects: Kubernetes fills in nothing in them."""
    name = revision_name(spec.component, spec.revision)
    configured = sorted(spec.configuration.variables) if spec.configuration else []
    secret = sorted(variables_of(spec.secrets))
    return [
        {"name": each, "valueFrom": {kind: {"name": name, "key": each}}}
        for kind, names in (("configMapKeyRef", configured), ("secretKeyRef", secret))
        for each in names
    ]


def _container(spec: RevisionSpec, drain_s: int, access: PlatformAccess | None) -> Object:
    environ = [
        {"name": name, "value": _literal(value)}
        for name, value in sorted(environ_of(spec, access).items())
    ]
    own_name = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    container: Object = {
        "name": CONTAINER,
        "image": image_of(spec),
        "env": [
            *environ,
            *_given_environ(spec),
            {"name": "RUNTIME_INSTANCE_ID", "valueFrom": own_name},
        ],
        "resources": _resources(spec.resources),
        # Why it ended is then in its status, also where its output is gone.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "home", "mountPath": HOME},
            {"name": "scratch", "mountPath": SCRATCH},
            *(
                {"name": volume["name"], "mountPath": place, "readOnly": True}
                for place, volume in _given_volumes(spec, access)
            ),
        ],
    }
    if spec.command:
        ours = variables(spec)
        container["command"] = [_literal(expand(word, ours)) for word in spec.command]
    if spec.port is not None:
        container["ports"] = [{"containerPort": spec.port, "protocol": "TCP"}]
    if drain_s:
        # The pod has no traffic from the first moment, and time for what is on its way.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": drain_s}}}
    return container | _probes(spec)


def _literal(text: str) -> str:
    """Keep Kubernetes from filling in `$(NAME)`: two dollars are one to it."""
    return text.replace("$", "$$")


def _resources(resources: Resources) -> Object:
    """Return limits that are requests too, so that no pod lives on what others asked for."""
    limits = {}
    if resources.memory_mb is not None:
        limits["memory"] = f"{resources.memory_mb}Mi"
    if resources.cpu is not None:
        limits["cpu"] = f"{max(1, round(resources.cpu * 1000))}m"
    return {"limits": limits, "requests": dict(limits)} if limits else {}


def _probes(spec: RevisionSpec) -> Object:
    kinds = {"readinessProbe": spec.readiness, "livenessProbe": spec.liveness}
    probes = {
        name: _probe(probe, spec.port)
        for name, probe in {**kinds, "startupProbe": spec.startup}.items()
        if probe is not None
    }
    if spec.readiness is None and spec.port is not None:
        probes["readinessProbe"] = {"tcpSocket": {"port": spec.port}, "periodSeconds": 1}
    return probes


def _probe(probe: Probe, port: int | None) -> Object:
    """Return a probe in whole seconds, which `capabilities.check` asked for."""
    match probe:
        case HttpProbe(path=path):
            question: Object = {"httpGet": {"path": path, "port": port}}
        case CommandProbe(command=command):
            question = {"exec": {"command": list(command)}}
        case _:
            question = {"tcpSocket": {"port": port}}
    return {
        **question,
        "periodSeconds": max(1, round(probe.period_s)),
        "timeoutSeconds": max(1, round(probe.timeout_s)),
        "initialDelaySeconds": round(probe.initial_delay_s),
        "failureThreshold": probe.failure_threshold,
        "successThreshold": probe.success_threshold,
    }
