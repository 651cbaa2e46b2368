"""The Jobs by which a tenant's isolation is tried, and the room that they take in its quotas."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks import attempt_program
from shared.surfaces.aks.attempt_targets import Target
from shared.surfaces.aks.boundary_objects import NAME
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import JOBS
from shared.surfaces.aks.names import TENANT, Installation
from shared.surfaces.aks.pods import CONTAINER
from shared.surfaces.aks.quantities import amount

LISTENER: Final = "isolation-listener"
ATTEMPTS: Final = "isolation-attempts"
"""The Jobs of each namespace, by name: who begins again finds what an earlier one left."""
OF_JOB: Final = "batch.kubernetes.io/controller-uid"
_PORT: Final = 9000
_USER: Final = 65532
"""Whichever the image names, which may be root."""
_ENDS_WITHIN_S: Final = 120
_KEPT_FOR_S: Final = 60
_LIMITS: Final = {"cpu": "100m", "memory": "64Mi"}
_TAKEN: Final = {**{f"limits.{name}": each for name, each in _LIMITS.items()}, "pods": "1"}
"""What a quota counts of each of the two pods."""
_PODS: Final = 2


def job(
    name: str, environment: EnvironmentId, tenant: TenantId, installation: Installation,
    image: str, asked: Mapping[str, Any],
) -> Object:  # fmt: skip
    """Return the Job *name* that does what is *asked*; no pod of it is a component's."""
    labels = {**installation.of_environment(environment), TENANT: tenant}
    text = Path(attempt_program.__file__).read_text(encoding="utf-8")
    node = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIP"}}
    container = {
        "name": CONTAINER,
        "image": image,
        "command": ["python3", "-I", "-c", text],
        "env": [
            {"name": attempt_program.ASKED, "value": json.dumps(asked)},
            {"name": attempt_program.NODE, "valueFrom": node},
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
