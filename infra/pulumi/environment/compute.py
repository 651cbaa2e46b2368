"""Compute targets in Azure: what workloads of the environment will run on."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pulumi
from pulumi_azure_native import app, containerservice, monitor, web

from infra.pulumi.environment.foundation import Foundation
from infra.pulumi.environment.names import Kind, name
from shared.infrastructure.inputs import ComputeTargetInput

NODE_SIZE: Final = "Standard_D2s_v5"
NODES: Final = {"prod": (3, 10)}
NODES_ELSEWHERE: Final = (1, 3)
PLAN_SKU: Final = {"prod": "P1v3"}
PLAN_SKU_ELSEWHERE: Final = "B1"


def make_compute_target(ground: Foundation, target: ComputeTargetInput) -> dict[str, Any]:
    """Declare *target*; return its entry of the stack's output `computeTargets`."""
    resource, endpoint = MAKERS[target.kind](ground, target)
    return {"kind": target.kind, "resourceIds": [resource.id], "endpoint": endpoint}


def _cluster(ground: Foundation, target: ComputeTargetInput) -> tuple[Any, Any]:
    settings, inputs = target.settings, ground.inputs
    least, most = NODES.get(inputs.stage, NODES_ELSEWHERE)
    subnet = ground.subnets[target.kind]
    may_join = ground.grant("cluster-subnet", subnet.id, "Network Contributor")
    cluster = containerservice.ManagedCluster(
        "cluster",
        resource_name_=name(Kind.CLUSTER, inputs),
        dns_prefix=name(Kind.CLUSTER, inputs),
        kubernetes_version=settings.get("kubernetesVersion"),
        identity=containerservice.ManagedClusterIdentityArgs(
            type="UserAssigned", user_assigned_identities=[ground.identity.id]
        ),
        agent_pool_profiles=[
            containerservice.ManagedClusterAgentPoolProfileArgs(
                name="system",
                mode="System",
                type="VirtualMachineScaleSets",
                os_type="Linux",
                vm_size=settings.get("vmSize", NODE_SIZE),
                enable_auto_scaling=True,
                count=int(settings.get("nodeCountMin", least)),
                min_count=int(settings.get("nodeCountMin", least)),
                max_count=int(settings.get("nodeCountMax", most)),
                vnet_subnet_id=subnet.id,
            )
        ],
        network_profile=containerservice.ContainerServiceNetworkProfileArgs(
            network_plugin="azure",
            network_plugin_mode="overlay",
            network_dataplane="cilium",
            network_policy="cilium",  # what keeps tenants of a pool apart
            pod_cidr="10.244.0.0/16",
            service_cidr="10.1.0.0/16",
            dns_service_ip="10.1.0.10",
        ),
        enable_rbac=True,
        disable_local_accounts=True,
        aad_profile=containerservice.ManagedClusterAADProfileArgs(
            managed=True, enable_azure_rbac=True
        ),
        oidc_issuer_profile=containerservice.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
        security_profile=containerservice.ManagedClusterSecurityProfileArgs(
            workload_identity=containerservice.ManagedClusterSecurityProfileWorkloadIdentityArgs(
                enabled=True
            )
        ),
        addon_profiles={
            "omsagent": containerservice.ManagedClusterAddonProfileArgs(
                enabled=True,
                config={"logAnalyticsWorkspaceResourceID": ground.logs.id, "useAADAuth": "true"},
            )
        },
        **ground.where,
        # The autoscaler owns the number of nodes once they are there.
        opts=ground.options(ignore=("agentPoolProfiles[0].count",), depends_on=(may_join,)),
    )
    return cluster, None


def _container_apps(ground: Foundation, target: ComputeTargetInput) -> tuple[Any, Any]:
    place = app.ManagedEnvironment(
        "container-apps",
        environment_name=name(Kind.CONTAINER_APPS, ground.inputs),
        vnet_configuration=app.VnetConfigurationArgs(
            infrastructure_subnet_id=ground.subnets[target.kind].id, internal=ground.is_closed
        ),
        workload_profiles=[
            app.WorkloadProfileArgs(name="Consumption", workload_profile_type="Consumption")
        ],
        # By way of Azure Monitor: the other way needs the workspace's shared key.
        app_logs_configuration=app.AppLogsConfigurationArgs(destination="azure-monitor"),
        zone_redundant=ground.inputs.stage == "prod",
        **ground.where,
        opts=ground.options(),
    )
    monitor.DiagnosticSetting(
        "container-apps-logs",
        name="logs",
        resource_uri=place.id,
        workspace_id=ground.logs.id,
        logs=[{"category_group": "allLogs", "enabled": True}],
        opts=pulumi.ResourceOptions(parent=ground.parent),
    )
    return place, pulumi.Output.concat("https://", place.default_domain)


def _functions(ground: Foundation, target: ComputeTargetInput) -> tuple[Any, Any]:
    plan = web.AppServicePlan(
        f"plan-{target.kind}",
        name=name(Kind.PLAN, ground.inputs, target.kind.lower()),
        kind="functionapp",
        reserved=True,  # Linux, the only system that Flex Consumption has
        sku=web.SkuDescriptionArgs(name="FC1", tier="FlexConsumption"),
        **ground.where,
        opts=ground.options(),
    )
    return plan, None


def _app_service(ground: Foundation, target: ComputeTargetInput) -> tuple[Any, Any]:
    sku = target.settings.get("sku", PLAN_SKU.get(ground.inputs.stage, PLAN_SKU_ELSEWHERE))
    plan = web.AppServicePlan(
        f"plan-{target.kind}",
        name=name(Kind.PLAN, ground.inputs, target.kind.lower()),
        kind="linux",
        reserved=True,
        sku=web.SkuDescriptionArgs(name=sku, capacity=int(target.settings.get("instances", 1))),
        **ground.where,
        opts=ground.options(),
    )
    return plan, None


Maker = Callable[[Foundation, ComputeTargetInput], tuple[Any, Any]]
MAKERS: Final[Mapping[str, Maker]] = {
    "AKS": _cluster,
    "ContainerApps": _container_apps,
    "Functions": _functions,
    "AppService": _app_service,
}
