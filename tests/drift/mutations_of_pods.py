"""What people, controllers and admission change of pods, and what of it pods show themselves."""

from collections.abc import Callable, Sequence
from typing import Final

from shared.kernel.ids import ModuleId
from shared.surfaces.aks.cluster_api import Object
from tests.drift.generated_cluster import OTHER_DIGEST, filled_in
from tests.drift.generated_environments import API, NIGHT, WEB
from tests.drift.mutations import INSTANCES, Mutation, Target, Truth, workload

OF_PODS: Final[list[Mutation]] = []
_OTHER: Final = "kubectl-edit"
Edit = Callable[[Object, Object], object]
"""Of a pod and its main container."""


def _pods(
    name: str, *paths: str, by: str | None = _OTHER, modules: Sequence[ModuleId] = (WEB, API)
) -> Callable[[Edit], None]:
    """Register a change of pods as somebody makes it; they show it too, when they are asked."""

    def register(edit: Edit) -> None:
        def act(target: Target) -> Truth:
            def change(pod: Object) -> None:
                edit(pod, next(each for each in pod["containers"] if each["name"] == "main"))

            target.cluster.edit(target.spec, change, by)
            return {*workload(*paths), INSTANCES} if paths else ()

        OF_PODS.append(Mutation(name, act, modules, survives=bool(paths)))

    return register


def _image(container: Object, image: str) -> None:
    container["image"] = image


def _name(container: Object) -> str:
    return str(container["image"]).partition("@")[0]


def _variable(container: Object, name: str) -> Object:
    found: Object = next(each for each in container["env"] if each["name"] == name)
    return found


_pods("image of another digest", "image")(
    lambda _, main: _image(main, f"{_name(main)}@{OTHER_DIGEST}")
)
_pods("image by a tag instead of its digest", "image", by="kubectl-set")(
    lambda _, main: _image(main, f"{_name(main)}:latest")
)
_pods("image of another repository", "image", by="kubectl-set")(
    lambda _, main: _image(main, main["image"].replace("/shop/", "/mirror/"))
)
_pods("another argument of the program", "command")(lambda _, main: main["command"].append("-v"))
_pods("a variable added", "environ/DEBUG", by="kubectl-set")(
    lambda _, main: main["env"].append({"name": "DEBUG", "value": "1"})
)
_pods("a variable of another value", "environ/SETTING_0", by="kubectl-set")(
    lambda _, main: _variable(main, "SETTING_0").update(value="tampered")
)
_pods("a variable removed", "environ/SETTING_1", by="kubectl-set")(
    lambda _, main: main["env"].remove(_variable(main, "SETTING_1"))
)
_pods("a memory limit doubled", "resources/memoryMib")(
    lambda _, main: main["resources"]["limits"].update(memory="4Gi")
)
_pods("a limit removed", "resources/cpu")(lambda _, main: main["resources"]["limits"].pop("cpu"))
_pods("a request of CPU lowered", "resources/requests/cpu")(
    lambda _, main: main["resources"]["requests"].update(cpu="10m")
)
_pods("another path of a readiness probe", "probes/readiness")(
    lambda _, main: main["readinessProbe"]["httpGet"].update(path="/other")
)
_pods("a liveness probe removed", "probes/liveness")(lambda _, main: main.pop("livenessProbe"))
_pods("a probe that gives up earlier", "probes/liveness")(
    lambda _, main: main["livenessProbe"].update(failureThreshold=1)
)
_pods("another port of the container", "port")(
    lambda _, main: main.update(ports=[{"containerPort": 9090, "protocol": "TCP"}])
)
_pods("a container added by kubectl edit", "containers/shell")(
    lambda pod, _: pod["containers"].append({"name": "shell", "image": "busybox"})
)
_pods("an init container added by kubectl edit", "initContainers/setup")(
    lambda pod, _: pod.update(initContainers=[{"name": "setup", "image": "busybox"}])
)
_pods("a container made privileged", "security/privileged")(
    lambda _, main: main["securityContext"].update(privileged=True)
)
_pods("a file system made writable", "security/readOnlyRootFilesystem")(
    lambda _, main: main["securityContext"].update(readOnlyRootFilesystem=False)
)
_pods("the network of the node", "hostNetwork")(lambda pod, _: pod.update(hostNetwork=True))
_pods("another service account", "serviceAccountName")(
    lambda pod, _: pod.update(serviceAccountName="admin")
)
_pods("all variables of a Secret", "envFrom")(
    lambda _, main: main.update(envFrom=[{"secretRef": {"name": "other"}}])
)
_pods("names that lead elsewhere", "hostAliases")(
    lambda pod, _: pod.update(hostAliases=[{"ip": "10.9.9.9", "hostnames": ["payments"]}])
)
_pods("another program of a schedule", "command", modules=[NIGHT])(
    lambda _, main: main["command"].append("--now")
)
_pods("capabilities given back", "security/capabilities")(
    lambda _, main: main["securityContext"].update(capabilities={"add": ["NET_ADMIN"]})
)
# Both are numbers of the platform, of which drift has no desired word; pods that are asked show
# them, with what they are and were to be.
_pods("another time from SIGTERM to SIGKILL", "instances")(
    lambda pod, _: pod.update(terminationGracePeriodSeconds=600)
)
_pods("a hook before the stop removed", "instances")(lambda _, main: main.pop("lifecycle"))


@_pods("a variable read from a Secret instead", "environ/SETTING_0")
def _secret_variable(_: Object, main: Object) -> None:
    variable = _variable(main, "SETTING_0")
    del variable["value"]
    variable["valueFrom"] = {"secretKeyRef": {"name": "other", "key": "value"}}


@_pods("a folder of the node mounted", "mounts/host")
def _host_folder(pod: Object, main: Object) -> None:
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    main["volumeMounts"].append({"name": "host", "mountPath": "/host"})


@_pods("several properties at once", "command", "environ/SETTING_0", "probes/readiness")
def _several(_: Object, main: Object) -> None:
    main["command"].append("-v")
    _variable(main, "SETTING_0")["value"] = "tampered"
    main["readinessProbe"]["periodSeconds"] = 60


# What is harmless.


@_pods("fields the API server fills in", by=None)
def _all_filled_in(pod: Object, main: Object) -> None:
    filled_in(pod)
    pod |= {"preemptionPolicy": "PreemptLowerPriority", "priority": 0, "hostUsers": True}
    pod["securityContext"].setdefault("supplementalGroups", [])
    main["securityContext"] |= {"privileged": False, "procMount": "Default"}
    main["resizePolicy"] = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]
    main["stdin"] = False


@_pods("defaults of a probe written out")
def _probe_defaults(_: Object, main: Object) -> None:
    for name in ("readinessProbe", "livenessProbe"):
        main[name]["httpGet"]["scheme"] = "HTTP"
        main[name]["successThreshold"] = 1


def _limit(main: Object, name: str, scale: Callable[[str], str]) -> None:
    for kind in ("limits", "requests"):
        main["resources"][kind][name] = scale(main["resources"][kind][name])


_pods("1000m for 1")(lambda _, main: _limit(main, "cpu", lambda cpu: f"{int(cpu[:-1]) / 1000:g}"))
_pods("1024Mi for 1Gi")(
    lambda _, main: _limit(main, "memory", lambda mib: f"{int(mib[:-2]) / 1024:g}Gi")
)
_pods("bytes for Mi")(
    lambda _, main: _limit(main, "memory", lambda mib: str(int(mib[:-2]) * 2**20))
)
_pods("a trailing zero of a quantity")(
    lambda _, main: _limit(main, "cpu", lambda cpu: f"{int(cpu[:-1]) / 1000:.3f}")
)
_pods("variables in another order")(lambda _, main: main["env"].reverse())
_pods("volumes in another order")(lambda pod, _: pod["volumes"].reverse())
_pods("mounts in another order")(lambda _, main: main["volumeMounts"].reverse())
_pods("a toleration of a policy", by="spot-operator")(
    lambda pod, _: pod.update(tolerations=[{"key": "spot", "operator": "Exists"}])
)
_pods("another class of priority", by="batch-operator")(
    lambda pod, _: pod.update(priorityClassName="high")
)
_pods("a sidecar by admission", by=None)(
    lambda pod, _: pod["containers"].insert(0, {"name": "mesh", "image": "mesh@sha256:1"})
)
_pods("a variable by admission", by=None)(
    lambda _, main: main["env"].append({"name": "AGENT_HOST", "value": "here"})
)
_pods("a user by admission", by=None)(
    lambda pod, _: pod["securityContext"].update(runAsUser=1234, fsGroup=1234)
)
_pods("a mount by admission", by=None)(
    lambda _, main: main["volumeMounts"].append({"name": "home", "mountPath": "/cache"})
)
