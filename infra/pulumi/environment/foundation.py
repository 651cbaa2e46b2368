"""What every environment in Azure stands on: group, identity, network, logs, vault.

The resource group is the environment's own, so that nothing of another tenant is ever in it.
Isolation by model: `silo` closes the public network of vault and data and lets nothing but the own
network in; `pool` and `shared` leave that to network policies inside the compute target.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_azure_native import (
    authorization,
    keyvault,
    managedidentity,
    network,
    operationalinsights,
    privatedns,
    resources,
)

from infra.pulumi.environment.names import Kind, name, role_assignment_name
from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.local_program import ENVIRONMENT, STABLE_TAGS, tags

ADDRESSES: Final = "10.0.0.0/16"
"""Environments are never peered with each other, so all may have the same."""
DATA_SUBNET: Final = "data"
SUBNETS: Final[Mapping[str, str]] = {
    "AKS": "10.0.0.0/20",
    "ContainerApps": "10.0.16.0/23",
    "Functions": "10.0.18.0/24",
    "AppService": "10.0.19.0/24",
    DATA_SUBNET: "10.0.20.0/24",
}
DELEGATIONS: Final[Mapping[str, str]] = {
    "ContainerApps": "Microsoft.App/environments",
    "Functions": "Microsoft.App/environments",  # Flex Consumption
    "AppService": "Microsoft.Web/serverFarms",
}
ROLES: Final[Mapping[str, str]] = {
    "Azure Service Bus Data Owner": "090c5cfd-751d-490a-894a-3ce6f1109419",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Network Contributor": "4d97b98b-1d4f-4787-a291-c67834d212e7",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
}
LOG_DAYS: Final = 30
VAULT_DELETED_DAYS: Final = 90


@dataclass
class Foundation:
    """What compute targets and data resources are built on."""

    inputs: EnvironmentInputs
    parent: pulumi.Resource
    group: Any
    identity: Any
    vnet: Any
    subnets: dict[str, Any]
    logs: Any
    vault: Any
    zones: dict[str, Any]

    @property
    def is_closed(self) -> bool:
        """Whether data is reached through the own network only."""
        return self.inputs.isolation_model == "silo"

    @property
    def public_access(self) -> str:
        return "Disabled" if self.is_closed else "Enabled"

    @property
    def where(self) -> dict[str, Any]:
        """Return the arguments that every resource in the group takes."""
        return {
            "resource_group_name": self.group.name,
            "location": self.inputs.region,
            "tags": tags(self.inputs),
        }

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "resourceGroup": self.group.name,
            "identity.id": self.identity.id,
            "identity.clientId": self.identity.client_id,
            "network.id": self.vnet.id,
            "logs.id": self.logs.id,
            "vault.id": self.vault.id,
            "vault.name": self.vault.name,
        }

    def options(
        self,
        *,
        parent: pulumi.Resource | None = None,
        ignore: tuple[str, ...] = (),
        protect: bool = False,
        depends_on: tuple[pulumi.Resource, ...] = (),
    ) -> pulumi.ResourceOptions:
        """Return the options of a resource with tags; *ignore* names what others decide."""
        return pulumi.ResourceOptions(
            parent=parent or self.parent,
            ignore_changes=[*STABLE_TAGS, *ignore],
            protect=protect,
            depends_on=list(depends_on),
        )

    def grant(self, what: str, scope: Any, role: str) -> pulumi.Resource:
        """Give the environment's identity *role* on *scope*; *what* names the pair."""
        assignment: pulumi.Resource = authorization.RoleAssignment(
            f"{what}-{role.lower().replace(' ', '-')}",
            role_assignment_name=role_assignment_name(self.inputs, what, role),
            scope=scope,
            principal_id=self.identity.principal_id,
            # Said, not looked up: a new identity may not be found yet in the directory.
            principal_type="ServicePrincipal",
            role_definition_id=f"/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}",
            opts=pulumi.ResourceOptions(parent=self.parent),
        )
        return assignment

    def reach_privately(self, what: str, target: Any, group: str, zone: str) -> None:
        """In a closed environment, give *target* an address in the own network, with its name."""
        if not self.is_closed:
            return
        endpoint = network.PrivateEndpoint(
            f"{what}-endpoint",
            private_endpoint_name=name(Kind.PRIVATE_ENDPOINT, self.inputs, what),
            subnet=network.SubnetArgs(id=self.subnets[DATA_SUBNET].id),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(
                    name=what, group_ids=[group], private_link_service_id=target.id
                )
            ],
            **self.where,
            opts=self.options(),
        )
        network.PrivateDnsZoneGroup(
            f"{what}-endpoint-names",
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            resource_group_name=self.group.name,
            private_dns_zone_configs=[
                network.PrivateDnsZoneConfigArgs(
                    name=group, private_dns_zone_id=self._zone(zone).id
                )
            ],
            opts=pulumi.ResourceOptions(parent=self.parent),
        )

    def _zone(self, zone: str) -> Any:
        if zone not in self.zones:
            shared = {"resource_group_name": self.group.name, "location": "global"}
            made = privatedns.PrivateZone(
                f"zone-{zone}",
                private_zone_name=zone,
                tags=tags(self.inputs),
                **shared,
                opts=self.options(),
            )
            privatedns.VirtualNetworkLink(
                f"zone-{zone}-link",
                virtual_network_link_name="own",
                private_zone_name=made.name,
                registration_enabled=False,
                virtual_network=privatedns.SubResourceArgs(id=self.vnet.id),
                tags=tags(self.inputs),
                **shared,
                opts=self.options(),
            )
            self.zones[zone] = made
        return self.zones[zone]


def lay_foundation(inputs: EnvironmentInputs) -> Foundation:
    """Declare group, identity, network, logs and vault."""
    parent = pulumi.ComponentResource(ENVIRONMENT, inputs.name, {})
    opts = pulumi.ResourceOptions(parent=parent, ignore_changes=list(STABLE_TAGS))
    group = resources.ResourceGroup(
        "group",
        resource_group_name=name(Kind.RESOURCE_GROUP, inputs),
        location=inputs.region,
        tags=tags(inputs),
        opts=opts,
    )
    where = {
        "resource_group_name": group.name, "location": inputs.region, "tags": tags(inputs),
    }  # fmt: skip
    identity = managedidentity.UserAssignedIdentity(
        "identity", resource_name_=name(Kind.IDENTITY, inputs), **where, opts=opts
    )
    vnet, subnets = _network(inputs, where, opts)
    logs = operationalinsights.Workspace(
        "logs",
        workspace_name=name(Kind.LOGS, inputs),
        sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
        retention_in_days=LOG_DAYS,
        **where,
        opts=opts,
    )
    ground = Foundation(
        inputs, parent, group, identity, vnet, subnets, logs, _vault(inputs, identity, where, opts),
        {},
    )  # fmt: skip
    ground.grant("vault", ground.vault.id, "Key Vault Secrets User")
    ground.reach_privately("vault", ground.vault, "vault", "privatelink.vaultcore.azure.net")
    return ground


def _network(
    inputs: EnvironmentInputs, where: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> tuple[Any, dict[str, Any]]:
    vnet = network.VirtualNetwork(
        "network",
        virtual_network_name=name(Kind.NETWORK, inputs),
        address_space=network.AddressSpaceArgs(address_prefixes=[ADDRESSES]),
        **where,
        # Subnets are resources of their own; seen through the network they would be taken away.
        opts=pulumi.ResourceOptions(parent=opts.parent, ignore_changes=[*STABLE_TAGS, "subnets"]),
    )
    guard = network.NetworkSecurityGroup(
        "network-guard",
        network_security_group_name=name(Kind.SECURITY_GROUP, inputs),
        security_rules=_rules(inputs),
        **where,
        opts=opts,
    )
    subnets: dict[str, Any] = {}
    previous: list[pulumi.Resource] = []
    for purpose in (*(target.kind for target in inputs.compute_targets), DATA_SUBNET):
        subnet = network.Subnet(
            f"subnet-{purpose}",
            subnet_name=name(Kind.SUBNET, inputs, purpose.lower()),
            virtual_network_name=vnet.name,
            resource_group_name=where["resource_group_name"],
            address_prefix=SUBNETS[purpose],
            network_security_group=network.NetworkSecurityGroupArgs(id=guard.id),
            default_outbound_access=purpose != DATA_SUBNET,
            delegations=_delegations(purpose),
            # One after another: Azure refuses two changes of one network at a time.
            opts=pulumi.ResourceOptions(parent=opts.parent, depends_on=previous),
        )
        subnets[purpose] = subnet
        previous = [subnet]
    return vnet, subnets


def _delegations(purpose: str) -> list[Any]:
    service = DELEGATIONS.get(purpose)
    return [network.DelegationArgs(name=service, service_name=service)] if service else []


def _rules(inputs: EnvironmentInputs) -> list[Any]:
    if inputs.isolation_model != "silo":
        return []
    # Azure's own rule lets every peered and connected network in; here only the own one may.
    shared = {
        "direction": "Inbound", "protocol": "*", "source_port_range": "*",
        "destination_port_range": "*", "destination_address_prefix": "VirtualNetwork",
    }  # fmt: skip
    return [
        network.SecurityRuleArgs(
            name="own-network", priority=4000, access="Allow", source_address_prefix=ADDRESSES,
            **shared,
        ),
        network.SecurityRuleArgs(
            name="no-other-network", priority=4010, access="Deny",
            source_address_prefix="VirtualNetwork", **shared,
        ),
    ]  # fmt: skip


def _vault(inputs: EnvironmentInputs, identity: Any, where: Mapping[str, Any], opts: Any) -> Any:
    is_closed = inputs.isolation_model == "silo"
    return keyvault.Vault(
        "vault",
        vault_name=name(
            Kind.VAULT, inputs, f"g{inputs.generation}" if inputs.generation > 1 else ""
        ),
        properties=keyvault.VaultPropertiesArgs(
            # The identity lives in the directory of the subscription: no look-up is needed.
            tenant_id=identity.tenant_id,
            sku=keyvault.SkuArgs(family="A", name="standard"),
            enable_rbac_authorization=True,
            enable_soft_delete=True,
            soft_delete_retention_in_days=VAULT_DELETED_DAYS,
            public_network_access="Disabled" if is_closed else "Enabled",
            network_acls=keyvault.NetworkRuleSetArgs(
                bypass="AzureServices", default_action="Deny" if is_closed else "Allow"
            ),
        ),
        **where,
        opts=opts,
    )
