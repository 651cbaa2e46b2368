"""Attempts from inside as Jobs of a tenant's namespace: what they run, may take and try. Pure.

Two pods run the program `attempt_program`: one listens, the other must reach it, and tries what it
must not reach. They are confined as the tenant's own, take little, and go by themselves.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from shared.contracts.tenants import IsolationLayer
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks import attempt_program
from shared.surfaces.aks.api_access import ApiAccess
from shared.surfaces.aks.boundary_objects import NAME
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.instances import condition
from shared.surfaces.aks.kinds import JOBS, Kind
from shared.surfaces.aks.names import TENANT, Installation
from shared.surfaces.aks.pods import CONTAINER
from shared.surfaces.aks.quantities import amount
from shared.surfaces.isolation_attempts import TEXT_MAX, TRIED, LayerAttempts

LISTENER: Final = "isolation-listener"
ATTEMPTS: Final = "isolation-attempts"
"""The Jobs of each namespace, by name: who begins again finds what an earlier one left."""
OF_JOB: Final = "batch.kubernetes.io/controller-uid"
SLICES: Final = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
_LAYERS: Final = TRIED[ComputeTargetKind.AKS]
_PORT: Final = 9000
_KUBELET: Final = 10250
_USER: Final = 65532
"""Whichever the image names, which may be root."""
_ENDS_WITHIN_S: Final = 120
_KEPT_FOR_S: Final = 60
_LIMITS: Final = {"cpu": "100m", "memory": "64Mi"}
_TAKEN: Final = {"limits.cpu": "100m", "limits.memory": "64Mi", "pods": "1"}
"""What a quota counts of each of the two pods."""
_PODS: Final = 2
_OF_A_KIND_MAX: Final = 3
_REACHED_MAX: Final = 5


@dataclass(frozen=True)
class Target:
    """A port that the tenant must not reach."""

    name: str
    host: str
    port: int
    isNode: bool = False  # noqa: N815  as the program reads it
    isApi: bool = False  # noqa: N815


@dataclass(frozen=True)
class OtherPod:
    """A pod of the environment: where it is, and the port that it has, if it has one."""

    namespace: str
    host: str
    node: str
    port: int | None
    is_ready: bool


def job(
    name: str, environment: EnvironmentId, tenant: TenantId, installation: Installation,
    image: str, asked: Mapping[str, Any],
) -> Object:  # fmt: skip
    """Return the Job *name* that does what is *asked*; no pod of it is a component's."""
    labels = {**installation.of_environment(environment), TENANT: tenant}
    text = Path(attempt_program.__file__).read_text(encoding="utf-8")
    fields = {
        attempt_program.ACCOUNT: "spec.serviceAccountName",
        attempt_program.NODE: "status.hostIP",
    }
    container = {
        "name": CONTAINER,
        "image": image,
        "command": ["python3", "-I", "-c", text],
        "env": [
            {"name": attempt_program.ASKED, "value": json.dumps(asked)},
            *(
                {"name": each, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
                for each, path in fields.items()
            ),
        ],
        "resources": {"limits": dict(_LIMITS), "requests": dict(_LIMITS)},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if "listen" in asked:
        container["readinessProbe"] = {"tcpSocket": {"port": _PORT}, "periodSeconds": 1}
    pods = {
        "restartPolicy": "Never",
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    namespace = installation.namespace(environment, tenant)
    return {
        "apiVersion": JOBS.version,
        "kind": JOBS.name,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _ENDS_WITHIN_S,
            "ttlSecondsAfterFinished": _KEPT_FOR_S,
            "template": {"metadata": {"labels": labels}, "spec": pods},
        },
    }


LISTEN: Final = {"listen": _PORT}


def asked_of(listener: Object, targets: Sequence[Target]) -> Mapping[str, Any]:
    """Return what the second pod is to try, beside the pod *listener* of its own namespace."""
    return {
        "control": [listener["status"]["podIP"], _PORT],
        "account": NAME,
        "targets": [asdict(each) for each in targets],
    }


def targets(
    pods: Sequence[OtherPod], api: Object | None, own: str, may_reach: Sequence[str],
    access: ApiAccess | None = None,
) -> list[Target]:  # fmt: skip
    """Return what the tenant of the namespace *own* must not reach, but what it *may_reach*.

    *api* is the EndpointSlice of the API server; by *access* pods reach the platform.
    """
    others = sorted((each for each in pods if each.namespace != own), key=lambda each: each.host)
    found = [
        Target(f"a pod of {each.namespace}", each.host, each.port)
        for each in others
        if each.is_ready and each.port is not None
    ][:_OF_A_KIND_MAX]
    for host in sorted({each.node for each in pods if each.node})[:_OF_A_KIND_MAX]:
        found.append(Target("the kubelet of a node", host, _KUBELET, isNode=True))
    for host, port in _addresses(api)[:_OF_A_KIND_MAX]:
        found.append(Target("the API server", host, port, isApi=True))
    found.append(Target("the metadata of its node", attempt_program.METADATA, 80))
    given = () if access is None else access.networks
    return [
        each
        for each in found
        if not _is_in(each.host, may_reach)
        and not (access is not None and each.port == access.port and _is_in(each.host, given))
    ]


def _is_in(host: str, networks: Iterable[str]) -> bool:
    address = ip_address(host)
    return any(address in ip_network(each, strict=False) for each in networks)


def _addresses(api: Object | None) -> list[tuple[str, int]]:
    found = api or {}
    ports = [int(each["port"]) for each in found.get("ports") or () if each.get("port")]
    hosts = [host for each in found.get("endpoints") or () for host in each.get("addresses") or ()]
    return [(host, port) for host in hosts for port in ports]


def other_pod(pod: Object) -> OtherPod:
    """Return what is to be known of *pod* for an attempt."""
    status = pod.get("status") or {}
    containers = pod["spec"].get("containers") or ()
    ports = [int(port["containerPort"]) for each in containers for port in each.get("ports") or ()]
    return OtherPod(
        pod["metadata"]["namespace"],
        status.get("podIP") or "",
        status.get("hostIP") or "",
        next(iter(ports), None),
        condition(pod, "Ready").get("status") == "True" and bool(status.get("podIP")),
    )


def no_room(quotas: Iterable[Object | None]) -> str:
    """Return why *quotas* of the namespace take no two pods more; empty where they do."""
    return next((each for quota in quotas if quota for each in _exceeded(quota)), "")


def _exceeded(quota: Object) -> Iterator[str]:
    hard = (quota.get("spec") or {}).get("hard") or {}
    used = (quota.get("status") or {}).get("used") or {}
    for measure, taken in _TAKEN.items():
        if measure in hard:
            has, limit = used.get(measure, "0"), hard[measure]
            if amount(has) + _PODS * amount(taken) > amount(limit):
                name = quota["metadata"]["name"]
                yield f"its quota {name} has no room to try: {measure} is {has} of {limit}"


def ended(pod: Object) -> Object | None:
    """Return how the container of *pod* ended; None where it has not."""
    found: Object | None = (_main(pod).get("state") or {}).get("terminated")
    return found


def why_not(pods: Sequence[Object]) -> str:
    """Return why none of *pods*, of one Job, has come to what was waited for."""
    if not pods:
        return "no pod is made of it: a quota or a policy of the namespace refuses it"
    pod = pods[-1]
    state = _main(pod).get("state") or {}
    said = state.get("waiting") or state.get("terminated") or condition(pod, "PodScheduled")
    words = [str(said.get(each) or "") for each in ("reason", "message")]
    return ": ".join(filter(None, words))[:TEXT_MAX] or "its pod does not say why"


def _main(pod: Object) -> Object:
    statuses: list[Object] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in statuses if each.get("name") == CONTAINER), {})


def inconclusive(why: str) -> tuple[LayerAttempts, ...]:
    """Return that nothing is shown of any layer, and *why*."""
    return tuple(LayerAttempts(layer, why[:TEXT_MAX]) for layer in _LAYERS)


def read(terminated: Object) -> tuple[LayerAttempts, ...]:
    """Return what the program says that it reached; of all layers nothing where it says nothing."""
    message = str(terminated.get("message") or "")
    try:
        answer = json.loads(message)
        return tuple(_of(layer, answer[layer]) for layer in _LAYERS)
    except (ValueError, LookupError, TypeError):
        code, end = terminated.get("exitCode"), message.strip()[-TEXT_MAX:]
        return inconclusive(f"the process that was to try ended with {code}: {end}")


def _of(layer: IsolationLayer, found: Sequence[Any]) -> LayerAttempts:
    why, reached = found
    shown = tuple(str(each)[:TEXT_MAX] for each in list(reached)[:_REACHED_MAX])
    return LayerAttempts(layer, str(why)[:TEXT_MAX], shown)
