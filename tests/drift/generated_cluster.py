"""One environment on a cluster, as platform, controllers and API server leave it.

What the platform writes is what the adapter makes of a spec, and what is read goes through the
whole adapter. Somebody's change says in `managedFields` whose it is, and its pods follow it.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final

from lightkube import AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User
from pydantic import TypeAdapter

from shared.kernel.clock import Clock, isoformat
from shared.kernel.fence import Fence
from shared.surfaces.aks import revisions, routes
from shared.surfaces.aks.boundary_objects import ACCOUNTS, CLIENT_ID, NAME
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import (
    AUTOSCALERS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    GATEWAY_CLASSES,
    GATEWAYS,
    PODS,
    ROUTES,
    SERVICES,
    Kind,
)
from shared.surfaces.aks.names import MANAGER, RECORD, Installation, component_name, revision_name
from shared.surfaces.aks.records import ComponentRecord, SiteRecord
from shared.surfaces.aks.scalers import MINIMUM, OWNER, scaler
from shared.surfaces.aks.secret_classes import class_spec
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.scaling import ReplicasOwner, ScalingRules
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from tests.kit.api_objects import ApiObjects, fields_of

IDENTITY: Final = "11111111-1111-1111-1111-111111111111"
DIRECTORY: Final = "22222222-2222-2222-2222-222222222222"
OTHER_DIGEST: Final = f"sha256:{'e' * 64}"
"""What a tag stands for here."""
_STATUSES: Final = "secretproviderclasspodstatuses"
_CLASS: Final = "gateway"


class GeneratedCluster:
    """The cluster, and the writes of the platform as far as its readers see them."""

    def __init__(self, clock: Clock, site: SiteSpec) -> None:
        self.clock = clock
        self.site = site
        self.api = ApiObjects()
        config = KubeConfig.from_one(cluster=Cluster(server="http://cluster.test"), user=User())
        self._client = AsyncClient(config, trust_env=False, transport=self.api)
        self.installation = Installation()
        self.specs: dict[tuple[SurfaceComponent, int], RevisionSpec] = {}
        self.tokens: dict[SurfaceComponent, int] = {}
        self._weights: dict[SurfaceComponent, Mapping[int, int]] = {}
        self._made = 0
        self._record("site", self.installation.site_record(site.environment), SiteRecord(site))
        condition = {"type": "Accepted", "status": "True"}
        accepted = {"metadata": {"name": _CLASS}, "status": {"conditions": [condition]}}
        self.api.put(GATEWAY_CLASSES, accepted)
        gateway = routes.gateway(self.installation, site.environment, site.tenant, _CLASS, 80)
        gateway["status"] = {"addresses": [{"value": "10.0.0.1"}]}
        self.api.put(GATEWAYS, gateway)
        who = {"annotations": {CLIENT_ID: IDENTITY}}
        account = {"metadata": {"name": NAME, "namespace": self.namespace, **who}}
        self.api.put(ACCOUNTS, account)

    @property
    def namespace(self) -> str:
        return self.installation.namespace(self.site.environment, self.site.tenant)

    def surface(self) -> AksSurface:
        """Return a surface that has read nothing yet, as of an app that has just started."""

        async def connect() -> AsyncClient:
            return self._client

        return AksSurface(connect, self.clock, self.installation, directory=DIRECTORY)

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        self._fenced(spec.component, fence)
        self.specs[spec.component, spec.revision] = spec
        account = NAME if spec.secrets else None
        workload = revisions.workload(spec, self.installation, account)
        kind = revisions.kind_of(spec)
        workload["metadata"] |= self._server_fields()
        workload["metadata"]["managedFields"] = [{"manager": MANAGER, "fieldsV1": {}}]
        filled_in(revisions.template_of(workload)["spec"])
        self.api.put(kind, workload)
        secret_class = class_spec(spec, self.installation, IDENTITY, DIRECTORY)
        for owned, made in revisions.dependents(spec, self.installation, workload, secret_class):
            made["metadata"] |= self._server_fields()
            self.api.put(owned, made)
        self.roll(spec)

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        self._weights[component] = weights
        self._fenced(component, fence)
        specs = [spec for (of, _), spec in self.specs.items() if of == component]
        route = routes.route(self.installation, component, self.site.tenant, weights, specs)
        route["metadata"] |= self._server_fields()
        service = routes.service(self.installation, component, weights, specs)
        service["metadata"] |= self._server_fields()
        self.api.put(ROUTES, route)
        self.api.put(SERVICES, service)

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        self._fenced(component, fence)
        spec = self.specs[component, revision]
        self.workload(spec)["spec"]["replicas"] = replicas
        self.roll(spec)

    async def set_scaling(
        self, component: SurfaceComponent, revision: int, rules: ScalingRules, fence: Fence
    ) -> None:
        self._fenced(component, fence)
        workload = self.workload(self.specs[component, revision])
        said = {OWNER: ReplicasOwner.SURFACE, MINIMUM: str(rules.minimum)}
        workload["metadata"]["annotations"] |= said
        made = scaler(self.specs[component, revision], rules, self.installation, workload)
        made["metadata"] |= self._server_fields()
        self.api.put(AUTOSCALERS, made)

    async def activate_schedule(
        self, component: SurfaceComponent, revision: int, fence: Fence
    ) -> None:
        self._fenced(component, fence)
        for (of, number), spec in self.specs.items():
            if of == component:
                self.workload(spec)["spec"]["suspend"] = number != revision

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        self._fenced(component, fence)
        self.delete(self.specs.pop((component, revision)))

    def delete(self, spec: RevisionSpec) -> None:
        """Delete the workload of *spec*, and what the cluster's collector takes with it."""
        uid = self.workload(spec)["metadata"]["uid"]
        for key, each in list(self.api.objects.items()):
            owners = each["metadata"].get("ownerReferences") or []
            if each["metadata"].get("uid") == uid or uid in {one["uid"] for one in owners}:
                del self.api.objects[key]

    def workload(self, spec: RevisionSpec) -> Object:
        name = revision_name(spec.component, spec.revision)
        return self.api.objects[revisions.kind_of(spec).plural, self.namespace, name]

    def owned(self, kind: Kind, spec: RevisionSpec) -> Object:
        name = revision_name(spec.component, spec.revision)
        return self.api.objects[kind.plural, self.namespace, name]

    def of_component(self, kind: Kind, spec: RevisionSpec) -> Object:
        name = component_name(spec.component.module)
        return self.api.objects[kind.plural, self.namespace, name]

    def pods(self, spec: RevisionSpec) -> list[Object]:
        owner = self.workload(spec)["metadata"]["uid"]
        return [
            each
            for each in self.api.of_kind(PODS)
            if owner in {one["uid"] for one in each["metadata"]["ownerReferences"]}
        ]

    def edit(
        self, spec: RevisionSpec, change: Callable[[Object], object], manager: str | None
    ) -> None:
        """Change the pods of *spec* as *manager* does; None: as admission does, which is nobody."""
        workload = self.workload(spec)
        pod = revisions.template_of(workload)["spec"]
        before = deepcopy(pod)
        change(pod)
        if manager is not None:
            template: Object = {"f:template": {"f:spec": fields_of(before, pod)}}
            of_runs = {"f:jobTemplate": {"f:spec": template}}
            fields = {"f:spec": of_runs if spec.schedule else template}
            workload["metadata"]["managedFields"].append({"manager": manager, "fieldsV1": fields})
        workload["metadata"]["generation"] = workload["metadata"].get("generation", 1) + 1
        self.roll(spec)

    def roll(self, spec: RevisionSpec) -> None:
        """Replace the pods of a Deployment by those that it asks for now, as its controller does.

        A Job or a CronJob has none here.
        """
        workload = self.workload(spec)
        for pod in self.pods(spec):
            del self.api.objects[PODS.plural, self.namespace, pod["metadata"]["name"]]
        for _ in range(0 if spec.ends else workload["spec"]["replicas"]):
            self._start_pod(workload, spec)

    def _start_pod(self, workload: Object, spec: RevisionSpec) -> None:
        self._made += 1
        template, began = deepcopy(workload["spec"]["template"]), isoformat(self.clock.now())
        name = f"{workload['metadata']['name']}-{self._made:05d}"
        metadata = {
            **template["metadata"], **self._server_fields(), "name": name,
            "namespace": self.namespace,
            "ownerReferences": [revisions.reference_to(workload, DEPLOYMENTS)],
        }  # fmt: skip
        main = next(each for each in template["spec"]["containers"] if each["name"] == "main")
        _, at, digest = main["image"].partition("@")
        pod = {
            "metadata": metadata,
            "spec": {**template["spec"], "nodeName": "node-1"},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.2",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": began}],
                "containerStatuses": [
                    {
                        "name": "main",
                        "imageID": f"shop@{digest if at else OTHER_DIGEST}",
                        "restartCount": 0,
                        "started": True,
                        "state": {"running": {"startedAt": began}},
                    }
                ],
            },
        }
        self.api.put(PODS, pod)
        if spec.secrets:
            mounted = [{"id": f"secret/{each.name}", "version": each.version}
                       for each in spec.secrets]  # fmt: skip
            status = {
                "metadata": {
                    "name": f"{name}-{self.namespace}-{workload['metadata']['name']}",
                    "namespace": self.namespace,
                    "ownerReferences": [{"uid": metadata["uid"]}],
                },
                "status": {"objects": mounted},
            }
            self.api.put(_STATUSES, status)

    def _fenced(self, component: SurfaceComponent, fence: Fence) -> None:
        self.tokens[component] = fence.token
        name = self.installation.component_record(component)
        weights = self._weights.get(component, {})
        record = ComponentRecord(component, fence.token, weights, is_routed=True)
        self._record("component", name, record)

    def _record(self, kind: str, name: str, value: Any) -> None:
        labels = {**self.installation.of_environment(self.site.environment), RECORD: kind}
        place = {"name": name, "namespace": self.installation.name, "uid": f"uid of {name}"}
        text = TypeAdapter(type(value)).dump_json(value).decode()
        found = {"metadata": {**place, "labels": labels}, "data": {"record.json": text}}
        self.api.put(CONFIG_MAPS, found)

    def _server_fields(self) -> dict[str, Any]:
        self._made += 1
        return {
            "uid": f"uid-{self._made}",
            "resourceVersion": str(self._made),
            "generation": 1,
            "creationTimestamp": isoformat(self.clock.now()),
        }


def filled_in(pod: Object) -> None:
    """Fill in what the API server does where a manifest says nothing."""
    pod |= {
        "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "restartPolicy": pod.get("restartPolicy", "Always"),
    }  # fmt: skip
    for container in pod["containers"]:
        container |= {
            "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
        }  # fmt: skip
        for name in ("readinessProbe", "livenessProbe", "startupProbe"):
            if probe := container.get(name):
                for field, value in {
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
                    "failureThreshold": 3,
                }.items():  # fmt: skip
                    probe.setdefault(field, value)
                if "httpGet" in probe:
                    probe["httpGet"].setdefault("scheme", "HTTP")
