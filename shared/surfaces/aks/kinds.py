"""The kinds of objects that the adapter asks for, and where the API server has them."""

from typing import Final
from urllib.parse import quote

from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of object and where the API server has it."""

    version: str
    name: str
    plural: str
    is_namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, sub: str = "") -> str:
        root = "/apis/" if "/" in self.version else "/api/"
        place = f"namespaces/{_part(namespace)}/" if self.is_namespaced and namespace else ""
        object_path = f"/{_part(name)}" if name else ""
        return f"{root}{self.version}/{place}{self.plural}{object_path}{sub}"


def _part(name: str) -> str:
    return quote(name, safe=":")


NAMESPACES: Final = Kind("v1", "Namespace", "namespaces", is_namespaced=False)
NODES: Final = Kind("v1", "Node", "nodes", is_namespaced=False)
CONFIG_MAPS: Final = Kind("v1", "ConfigMap", "configmaps")
PODS: Final = Kind("v1", "Pod", "pods")
SERVICES: Final = Kind("v1", "Service", "services")
DEPLOYMENTS: Final = Kind("apps/v1", "Deployment", "deployments")
JOBS: Final = Kind("batch/v1", "Job", "jobs")
CRON_JOBS: Final = Kind("batch/v1", "CronJob", "cronjobs")
BUDGETS: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
GATEWAYS: Final = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAY_CLASSES: Final = Kind(
    "gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", is_namespaced=False
)
AUTOSCALERS: Final = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
ROUTES: Final = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
