"""What people and controllers change of the other objects of a release on a cluster."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from shared.kernel.clock import isoformat
from shared.kernel.ids import ModuleId
from shared.surfaces.aks import revisions
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, PODS, ROUTES, SERVICES
from shared.surfaces.aks.names import MANAGER, SPEC
from shared.surfaces.aks.secret_classes import CLASSES
from shared.surfaces.spec import RevisionSpec
from tests.drift.generated_cluster import OTHER_DIGEST
from tests.drift.generated_environments import NIGHT, WEB
from tests.drift.mutations import INSTANCES, Mutation, Target, Truth, workload

OF_OBJECTS: Final[list[Mutation]] = []
_LONG_AGO: Final = "2026-01-01T00:00:00Z"


def _kind(name: str, **how: Any) -> Callable[[Callable[[Target], Truth]], None]:
    def register(act: Callable[[Target], Truth]) -> None:
        OF_OBJECTS.append(Mutation(name, act, **how))

    return register


@_kind("keys of a map in another order")
def _keys(target: Target) -> Truth:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return [turned(each) for each in value] if isinstance(value, list) else value

    found = target.cluster.workload(target.spec)
    changed = turned(found)
    found.clear()
    found.update(changed)
    return ()


@_kind("a status of a controller")
def _status(target: Target) -> Truth:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    status = {"observedGeneration": 7, "readyReplicas": 1, "conditions": [condition]}
    target.cluster.workload(target.spec)["status"] = status
    return ()


@_kind("another version and generation of an object")
def _version(target: Target) -> Truth:
    for found in (target.cluster.workload(target.spec), _route(target)):
        found["metadata"] |= {"resourceVersion": "999999", "generation": 99}
    return ()


@_kind("labels of another manager")
def _labels(target: Target) -> Truth:
    found = target.cluster.workload(target.spec)
    for each in (found, found["spec"]["template"], _route(target)):
        each["metadata"]["labels"]["topology.istio.io/network"] = "one"
    target.cluster.roll(target.spec)
    return ()


@_kind("annotations of another manager")
def _annotations(target: Target) -> Truth:
    found = target.cluster.workload(target.spec)
    for each in (found, found["spec"]["template"], _route(target)):
        each["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "4"
    return ()


@_kind("a restart by kubectl rollout restart")
def _restart(target: Target) -> Truth:
    template = target.cluster.workload(target.spec)["spec"]["template"]
    template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = _LONG_AGO
    target.cluster.roll(target.spec)
    return ()


@_kind("a pod deleted and made again")
def _pod_again(target: Target) -> Truth:
    target.cluster.roll(target.spec)
    return ()


@_kind("a pod evicted")
def _evicted(target: Target) -> Truth:
    gone = deepcopy(target.cluster.pods(target.spec)[0])
    gone["metadata"] |= {"name": f"{gone['metadata']['name']}-old", "uid": "uid-of-it"}
    gone["status"] = {"phase": "Failed", "reason": "Evicted", "message": "no disk is left"}
    target.cluster.api.put(PODS, gone)
    return ()


@_kind("an instance that is not ready yet")
def _unready(target: Target) -> Truth:
    pod = target.random.choice(target.cluster.pods(target.spec))
    pod["status"]["conditions"][0]["status"] = "False"
    return ()


@_kind("a process that restarted")
def _restarted(target: Target) -> Truth:
    pod = target.random.choice(target.cluster.pods(target.spec))
    pod["status"]["containerStatuses"][0]["restartCount"] += 3
    return ()


@_kind("instances in another order")
def _instances(target: Target) -> Truth:
    objects = target.cluster.api.objects
    turned = dict(reversed(objects.items()))
    objects.clear()
    objects.update(turned)
    return ()


@_kind("a spec that nobody can read any more")
def _damaged(target: Target) -> Truth:
    template = target.cluster.workload(target.spec)["spec"]["template"]
    template["metadata"]["annotations"][SPEC] = "{}"
    return ()


@_kind("more replicas than were decided")
def _more(target: Target) -> Truth:
    target.cluster.workload(target.spec)["spec"]["replicas"] += target.random.randint(1, 5)
    target.cluster.roll(target.spec)
    return {("replicas", "replicas")}


@_kind("no replica at all")
def _none(target: Target) -> Truth:
    target.cluster.workload(target.spec)["spec"]["replicas"] = 0
    target.cluster.roll(target.spec)
    return {("replicas", "replicas")}


@_kind("a Deployment deleted")
def _deleted(target: Target) -> Truth:
    target.cluster.delete(target.spec)
    return workload("revision")


@_kind("a Deployment of a revision nobody released")
def _unknown(target: Target) -> Truth:
    _made(target, replace(target.spec, revision=99, version="99.0", artifact=OTHER_DIGEST))
    return workload("revision/99")


@_kind("a service that nobody released")
def _new_service(target: Target) -> Truth:
    spec = target.environment.spec(WEB)
    target.module = ModuleId("module-mine")
    component = replace(spec.component, module=target.module)
    _made(target, replace(spec, component=component, path_prefix=None))
    return workload("service")


def _made(target: Target, spec: RevisionSpec) -> None:
    made = revisions.deployment(spec, target.cluster.installation)
    made["metadata"] |= {"uid": "uid-of-it", "creationTimestamp": _LONG_AGO}
    target.cluster.api.put(DEPLOYMENTS, made)
    target.cluster.roll(spec)


@_kind("a schedule suspended", modules=[NIGHT])
def _suspended(target: Target) -> Truth:
    target.cluster.workload(target.spec)["spec"]["suspend"] = True
    return {("routing", "schedule")}


@_kind("other times of a schedule", modules=[NIGHT])
def _times(target: Target) -> Truth:
    target.cluster.workload(target.spec)["spec"]["schedule"] = "*/5 * * * *"
    return workload("schedule/cron")


@_kind("replicas within an autoscaler's bounds", is_scaled=True)
def _within(target: Target) -> Truth:
    target.cluster.workload(target.spec)["spec"]["replicas"] = target.random.randint(1, 9)
    target.cluster.roll(target.spec)
    return ()


@_kind("conditions of an autoscaler", is_scaled=True)
def _conditions(target: Target) -> Truth:
    condition = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}
    _autoscaler(target)["status"] = {"desiredReplicas": 9, "conditions": [condition]}
    return ()


@_kind("an autoscaler of somebody's own")
def _own_autoscaler(target: Target) -> Truth:
    name = target.cluster.workload(target.spec)["metadata"]["name"]
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    metadata = {"name": "mine", "namespace": target.cluster.namespace}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 9}
    target.cluster.api.put(AUTOSCALERS, {"metadata": metadata, "spec": spec})
    return _within_bounds(target)


def _within_bounds(target: Target) -> Truth:
    target.cluster.workload(target.spec)["spec"]["replicas"] = 9
    target.cluster.roll(target.spec)
    return ()


@_kind("a higher maximum of an autoscaler", is_scaled=True)
def _maximum(target: Target) -> Truth:
    _autoscaler(target)["spec"]["maxReplicas"] = 50
    return {("replicas", "maximum")}


@_kind("another target of an autoscaler", is_scaled=True)
def _target(target: Target) -> Truth:
    metric = _autoscaler(target)["spec"]["metrics"][0]
    metric["resource"]["target"]["averageUtilization"] = 5
    return {("replicas", "rules")}


@_kind("an autoscaler deleted", is_scaled=True)
def _no_autoscaler(target: Target) -> Truth:
    name = _autoscaler(target)["metadata"]["name"]
    del target.cluster.api.objects[AUTOSCALERS.plural, target.cluster.namespace, name]
    return {("replicas", path) for path in ("owner", "minimum", "maximum", "rules")}


def _autoscaler(target: Target) -> Object:
    return target.cluster.owned(AUTOSCALERS, target.spec)


def _route(target: Target) -> Object:
    return target.cluster.of_component(ROUTES, target.spec)


def _rule(target: Target) -> Object:
    rule: Object = _route(target)["spec"]["rules"][0]
    return rule


@_kind("another weight of a backend")
def _weight(target: Target) -> Truth:
    _rule(target)["backendRefs"][0]["weight"] = target.random.randint(1, 99)
    return {("routing", "weight")}


@_kind("a backend removed from a route")
def _no_backend(target: Target) -> Truth:
    _rule(target)["backendRefs"] = []
    return {("routing", "weight")}


@_kind("another backend beside a release")
def _other_backend(target: Target) -> Truth:
    _rule(target)["backendRefs"].append({"name": "mine", "port": 80, "weight": 900})
    return {("routing", "backends/mine")}


@_kind("another path of a route")
def _path(target: Target) -> Truth:
    _rule(target)["matches"][0]["path"]["value"] = "/elsewhere"
    return {("routing", "pathPrefix")}


@_kind("a host added to a route")
def _host(target: Target) -> Truth:
    _route(target)["spec"]["hostnames"] = ["shop.example"]
    return {("routing", "hosts")}


@_kind("a route by the Gateway of another tenant")
def _gateway(target: Target) -> Truth:
    _route(target)["spec"]["parentRefs"][0]["namespace"] = "of-another-tenant"
    return {("routing", "gateways")}


@_kind("a header rewritten by a route")
def _header(target: Target) -> Truth:
    header = {"set": [{"name": "x-user", "value": "admin"}]}
    modifier = {"type": "RequestHeaderModifier", "requestHeaderModifier": header}
    _rule(target)["filters"] = [modifier]
    return {("routing", "filters")}


@_kind("a route deleted")
def _no_route(target: Target) -> Truth:
    name = _route(target)["metadata"]["name"]
    del target.cluster.api.objects[ROUTES.plural, target.cluster.namespace, name]
    return {("routing", "weight")}


@_kind("a Service that selects another revision")
def _selector(target: Target) -> Truth:
    service = target.cluster.of_component(SERVICES, target.spec)
    service["spec"]["selector"][f"{MANAGER}/revision"] = "99"
    return {("routing", "service/selector")}


@_kind("a Service of another target port")
def _port(target: Target) -> Truth:
    target.cluster.owned(SERVICES, target.spec)["spec"]["ports"][0]["targetPort"] = 9090
    return {("routing", "backend/ports")}


@_kind("defaults of a route written out")
def _route_defaults(target: Target) -> Truth:
    for backend in _rule(target)["backendRefs"]:
        backend |= {"group": "", "kind": "Service"}
    parent = _route(target)["spec"]["parentRefs"][0]
    parent |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    spec = target.cluster.of_component(SERVICES, target.spec)["spec"]
    spec |= {"type": "ClusterIP", "clusterIP": "10.1.2.3", "sessionAffinity": "None"}
    return ()


@_kind("backends of a route in another order")
def _backends(target: Target) -> Truth:
    unweighted = {"name": f"{_rule(target)['backendRefs'][0]['name']}0", "port": 80, "weight": 0}
    _rule(target)["backendRefs"].insert(0, unweighted)
    return ()


@_kind("a status of a route by its gateway")
def _route_status(target: Target) -> Truth:
    condition = {"type": "Accepted", "status": "True", "observedGeneration": 1}
    _route(target)["status"] = {"parents": [{"conditions": [condition]}]}
    return ()


def _made_again(target: Target, change: Callable[[Object], object]) -> None:
    """Delete the ConfigMap and make it again: nobody can change it in place."""
    found = target.cluster.owned(CONFIG_MAPS, target.spec)
    change(found["data"])
    at = target.environment.app.service.clock.now() + timedelta(seconds=1)
    found["metadata"] |= {"uid": "uid-again", "creationTimestamp": isoformat(at)}


@_kind("a ConfigMap made again with another value", survives=True)
def _value(target: Target) -> Truth:
    name = target.random.choice(("app.json", "rules.yaml"))
    _made_again(target, lambda data: data.update({name: "tampered"}))
    return {("configuration", f"files/{name}"), INSTANCES}


@_kind("a ConfigMap made again without a key", survives=True)
def _no_key(target: Target) -> Truth:
    _made_again(target, lambda data: data.pop("LOG_LEVEL"))
    return {("configuration", "variables/LOG_LEVEL"), INSTANCES}


@_kind("a ConfigMap with one key more", survives=True)
def _more_keys(target: Target) -> Truth:
    _made_again(target, lambda data: data.update({"EXTRA": "1"}))
    return {("configuration", "variables/EXTRA"), INSTANCES}


@_kind("a ConfigMap deleted", survives=True)
def _no_map(target: Target) -> Truth:
    name = target.cluster.owned(CONFIG_MAPS, target.spec)["metadata"]["name"]
    del target.cluster.api.objects[CONFIG_MAPS.plural, target.cluster.namespace, name]
    paths = ("files/app.json", "files/rules.yaml", "variables/LOG_LEVEL", "variables/REGION")
    return {*(("configuration", path) for path in paths), INSTANCES}


def _parameters(target: Target) -> Object:
    found: Object = target.cluster.owned(CLASSES, target.spec)["spec"]["parameters"]
    return found


@_kind("a secret of another version", survives=True)
def _secret_version(target: Target) -> Truth:
    parameters = _parameters(target)
    parameters["objects"] = parameters["objects"].replace('"v1"', '"v2"')
    return {("secrets", "files/db-password")}


@_kind("another vault of a secret", survives=True)
def _vault(target: Target) -> Truth:
    _parameters(target)["keyvaultName"] = "other-vault"
    return {("secrets", "parameters/keyvaultName")}


@_kind("the identity that reads secrets", survives=True)
def _identity(target: Target) -> Truth:
    _parameters(target)["clientID"] = "other"
    return {("secrets", "parameters/clientID")}
