"""The Jobs by which a tenant's isolation is tried, and the room that they take in its quotas.

Two are in its own namespace, and two in that of the platform, which no boundary lets in. Of each
two the first listens, and the second must reach it before it tries what it must not.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks import attempt_program
from shared.surfaces.aks.attempt_targets import Target
from shared.surfaces.aks.boundary_objects import NAME
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import JOBS
from shared.surfaces.aks.names import TENANT, Installation, digest_of
from shared.surfaces.aks.pods import CONTAINER
from shared.surfaces.aks.quantities import amount

LISTENER: Final = "isolation-listener"
ATTEMPTS: Final = "isolation-attempts"
"""The Jobs of each place, by name: who begins again finds what an earlier one left."""
OF_JOB: Final = "batch.kubernetes.io/controller-uid"
PORT: Final = 9000
_USER: Final = 65532
"""Whichever the image names, which may be root."""
_ENDS_WITHIN_S: Final = 150
_KEPT_FOR_S: Final = 60
LIMITS: Final = {"cpu": "100m", "memory": "64Mi"}
_TAKEN: Final = {**{f"limits.{name}": each for name, each in LIMITS.items()}, "pods": "1"}
"""What a quota counts of each of the two pods."""
_PODS: Final = 2


@dataclass(frozen=True)
class Place:
    """Where two of the Jobs of one tenant run; `account` is whom their pods act as."""

    namespace: str
    labels: Mapping[str, str]
    account: str
    suffix: str = ""

    def name(self, job: str) -> str:
        return f"{job}{self.suffix}"


def of_tenant(installation: Installation, environment: EnvironmentId, tenant: TenantId) -> Place:
    namespace = installation.namespace(environment, tenant)
    return Place(namespace, _labels(installation, environment, tenant), NAME)


def of_platform(installation: Installation, environment: EnvironmentId, tenant: TenantId) -> Place:
    """Return the place outside, where those of all tenants are."""
    labels = _labels(installation, environment, tenant)
    suffix = f"-{digest_of(environment, tenant, length=20)}"
    return Place(installation.name, labels, "default", suffix)


def _labels(
    installation: Installation, environment: EnvironmentId, tenant: TenantId
) -> Mapping[str, str]:
    return {**installation.of_environment(environment), TENANT: tenant}


def job(name: str, place: Place, image: str, asked: Mapping[str, Any]) -> Object:
    """Return the Job *name* of *place* that does what is *asked*; no pod is a component's."""
    text = Path(attempt_program.__file__).read_text(encoding="utf-8")
    node = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIP"}}
    pods = pod_spec(place, image, LIMITS)
    (container,) = pods["containers"]
    container["command"] = ["python3", "-I", "-c", text]
    container["env"] = [
        {"name": attempt_program.ASKED, "value": json.dumps(asked)},
        {"name": attempt_program.NODE, "valueFrom": node},
    ]
    if "listen" in asked:
        container["readinessProbe"] = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    return {
        "apiVersion": JOBS.version,
        "kind": JOBS.name,
        "metadata": {
            "name": place.name(name), "namespace": place.namespace, "labels": {**place.labels},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _ENDS_WITHIN_S,
            "ttlSecondsAfterFinished": _KEPT_FOR_S,
            "template": {"metadata": {"labels": {**place.labels}}, "spec": pods},
        },
    }  # fmt: skip


def pod_spec(place: Place, image: str, limits: Mapping[str, str]) -> Object:
    """Return the spec of a pod of *place* with *limits*, confined as the tenant's are."""
    container = {
        "name": CONTAINER,
        "image": image,
        "resources": {"limits": {**limits}, "requests": {**limits}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": place.account,
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


LISTEN: Final = {"listen": PORT}


def asked_of(listener: Object, targets: Sequence[Target]) -> Mapping[str, Any]:
    """Return what the second pod is to try, beside the pod *listener* of its own namespace."""
    return {
        "control": [listener["status"]["podIP"], PORT],
        "targets": [asdict(each) for each in targets],
    }


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
