"""What the API server fills in is no difference; everything that somebody added or changed is."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from shared.surfaces.aks.pod_differences import differences
from shared.surfaces.aks.pods import pod_spec
from shared.surfaces.spec import CommandProbe, HttpProbe, Resources, TcpProbe
from tests.surfaces.harness import TEMPLATE

SPEC = replace(
    TEMPLATE,
    image="registry.example/shop",
    command=("serve", "--port=$PORT"),
    environ={"MODE": "fast", "PATTERN": "$(HOME)"},
    readiness=HttpProbe("/ready", period_s=2),
    liveness=TcpProbe(),
    startup=CommandProbe(("check",)),
    resources=Resources(memory_mb=1024, cpu=1),
)
Pod = dict[str, Any]
Edit = Callable[[Pod], object]


def main(pod: Pod) -> dict[str, Any]:
    container: dict[str, Any] = pod["containers"][0]
    return container


def variable(pod: Pod, name: str) -> dict[str, Any]:
    return next(each for each in main(pod)["env"] if each["name"] == name)


def changed(edit: Edit) -> Pod:
    pod = deepcopy(pod_spec(SPEC, {}))
    edit(pod)
    return pod


def as_an_api_server_keeps_it(pod: Pod) -> None:
    for amounts in main(pod)["resources"].values():
        amounts |= {"memory": "1Gi", "cpu": "1"}
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        del main(pod)[name]["initialDelaySeconds"]  # it is 0
    main(pod)["readinessProbe"]["httpGet"]["scheme"] = "HTTP"
    main(pod).update({"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/log"})
    pod |= {
        "serviceAccountName": "default", "serviceAccount": "default", "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always", "schedulerName": "default-scheduler", "nodeName": "node-1",
        "tolerations": [{"operator": "Exists"}], "priority": 0,
    }  # fmt: skip


def test_what_the_api_server_fills_in_is_no_difference() -> None:
    assert differences(changed(as_an_api_server_keeps_it), pod_spec(SPEC, {})) == ()


@pytest.mark.parametrize("cpu", [0.25, 1.0, 1.5, 2.0])
@pytest.mark.parametrize(("memory_mb", "kept"), [(1024, "1Gi"), (2048, "2Gi"), (64, "64Mi")])
def test_a_limit_is_the_same_in_any_notation(cpu: float, memory_mb: int, kept: str) -> None:
    spec = replace(SPEC, resources=Resources(memory_mb=memory_mb, cpu=cpu))
    live = deepcopy(pod_spec(spec, {}))
    for amounts in main(live)["resources"].values():
        amounts |= {"memory": kept, "cpu": f"{cpu:g}"}

    assert differences(live, pod_spec(spec, {})) == ()


@pytest.mark.parametrize(
    ("edit", "paths"),
    [
        (lambda pod: main(pod).update(image="nginx:1"), ["image"]),
        (lambda pod: main(pod).update(args=["--debug"]), ["command"]),
        (lambda pod: main(pod).update(envFrom=[{"secretRef": {"name": "a"}}]), ["envFrom"]),
        (
            lambda pod: main(pod)["env"].append({"name": "LD_PRELOAD", "value": "x.so"}),
            ["environ/LD_PRELOAD"],
        ),
        (lambda pod: variable(pod, "PATTERN").update(value="$(HOME)"), ["environ/PATTERN"]),
        (lambda pod: main(pod)["env"].remove(variable(pod, "HOME")), ["environ/HOME"]),
        (lambda pod: variable(pod, "RUNTIME_VERSION").update(value="9"), ["version"]),
        (
            lambda pod: main(pod)["securityContext"].update(allowPrivilegeEscalation=True),
            ["security/allowPrivilegeEscalation"],
        ),
        (
            lambda pod: main(pod)["securityContext"].pop("allowPrivilegeEscalation"),
            ["security/allowPrivilegeEscalation"],
        ),
        (
            lambda pod: main(pod)["securityContext"].update(runAsNonRoot=False),
            ["security/runAsNonRoot"],
        ),
        (lambda pod: main(pod)["resources"]["limits"].update(memory="2Gi"),
         ["resources/memoryMib"]),
        (lambda pod: main(pod)["resources"]["limits"].pop("cpu"), ["resources/cpu"]),
        (
            lambda pod: main(pod)["readinessProbe"].update(initialDelaySeconds=30),
            ["probes/readiness"],
        ),
        (
            lambda pod: main(pod)["livenessProbe"]["tcpSocket"].update(port=22),
            ["probes/liveness"],
        ),
        (lambda pod: main(pod).pop("startupProbe"), ["probes/startup"]),
        (lambda pod: main(pod)["ports"][0].update(hostPort=80), ["port"]),
        (
            lambda pod: main(pod)["volumeMounts"].append({"name": "host", "mountPath": "/host"}),
            ["mounts/host"],
        ),
        (
            lambda pod: pod["volumes"][0].update(emptyDir=None, hostPath={"path": "/"}),
            ["mounts/runtime/home"],
        ),
        (
            lambda pod: pod["containers"].append({"name": "proxy", "image": "mesh:1"}),
            ["containers/proxy"],
        ),
        (
            lambda pod: pod.update(initContainers=[{"name": "first", "image": "a:1"}]),
            ["initContainers/first"],
        ),
        (
            lambda pod: pod.update(ephemeralContainers=[{"name": "debugger", "image": "a:1"}]),
            ["ephemeralContainers/debugger"],
        ),
        (lambda pod: pod.update(serviceAccountName="admin"), ["serviceAccountName"]),
        (lambda pod: pod.pop("automountServiceAccountToken"), ["automountServiceAccountToken"]),
        (lambda pod: pod.update(hostNetwork=True), ["hostNetwork"]),
        (lambda pod: pod.update(shareProcessNamespace=True), ["shareProcessNamespace"]),
        (lambda pod: pod.update(terminationGracePeriodSeconds=1), ["graceS"]),
        (lambda pod: main(pod)["lifecycle"].update(postStart={"exec": {}}), ["drainS", "graceS"]),
    ],
)  # fmt: skip
def test_what_was_changed_or_added_is_a_difference_by_its_path(
    edit: Edit, paths: list[str]
) -> None:
    assert [path for path, _, _ in differences(changed(edit), pod_spec(SPEC, {}))] == paths
