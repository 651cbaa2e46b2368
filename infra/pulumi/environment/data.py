"""Data resources in Azure. Keys and passwords are switched off: the managed identity is the way in.

Each maker returns the resource, the endpoint, and how it is reached privately (group, DNS zone).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pulumi
from pulumi_azure_native import (
    cosmosdb,
    dbforpostgresql,
    redisenterprise,
    servicebus,
    sql,
    storage,
)

from infra.pulumi.environment.foundation import Foundation
from infra.pulumi.environment.names import Kind, name, role_assignment_name
from shared.infrastructure.inputs import DataResourceInput, data_resource_name

COSMOS_DATA_CONTRIBUTOR: Final = "00000000-0000-0000-0000-000000000002"
"""The role that every account has built in."""
Made = tuple[Any, Any, str, str]


def make_data_resource(ground: Foundation, data: DataResourceInput) -> Any:
    """Declare *data* and who may use it; return its endpoint."""
    resource, endpoint, group, zone = MAKERS[data.kind](ground, data)
    ground.reach_privately(data_resource_name(data.name), resource, group, zone)
    return endpoint


def _cosmos(ground: Foundation, data: DataResourceInput) -> Made:
    account = cosmosdb.DatabaseAccount(
        data_resource_name(data.name),
        account_name=name(Kind.COSMOS, ground.inputs, data.name),
        kind="GlobalDocumentDB",
        database_account_offer_type="Standard",
        capabilities=[]
        if ground.inputs.stage == "prod"
        else [cosmosdb.CapabilityArgs(name="EnableServerless")],
        consistency_policy=cosmosdb.ConsistencyPolicyArgs(default_consistency_level="Session"),
        locations=[cosmosdb.LocationArgs(location_name=ground.inputs.region, failover_priority=0)],
        disable_local_auth=True,
        minimal_tls_version="Tls12",
        public_network_access=ground.public_access,
        **ground.where,
        opts=ground.options(protect=data.protected),
    )
    cosmosdb.SqlResourceSqlDatabase(
        f"{data_resource_name(data.name)}-database",
        account_name=account.name,
        resource_group_name=ground.group.name,
        database_name=data.name,
        resource=cosmosdb.SqlDatabaseResourceArgs(id=data.name),
        opts=pulumi.ResourceOptions(parent=account, protect=data.protected),
    )
    cosmosdb.SqlResourceSqlRoleAssignment(
        f"{data_resource_name(data.name)}-contributor",
        account_name=account.name,
        resource_group_name=ground.group.name,
        role_assignment_id=role_assignment_name(ground.inputs, data.name, "cosmos"),
        role_definition_id=pulumi.Output.concat(
            account.id, "/sqlRoleDefinitions/", COSMOS_DATA_CONTRIBUTOR
        ),
        principal_id=ground.identity.principal_id,
        scope=account.id,
        opts=pulumi.ResourceOptions(parent=account),
    )
    return account, account.document_endpoint, "Sql", "privatelink.documents.azure.com"


def _postgres(ground: Foundation, data: DataResourceInput) -> Made:
    is_prod = ground.inputs.stage == "prod"
    server = dbforpostgresql.Server(
        data_resource_name(data.name),
        server_name=name(Kind.POSTGRES, ground.inputs, data.name),
        version=data.settings.get("version", "17"),
        sku=dbforpostgresql.SkuArgs(
            name=data.settings.get("sku", "Standard_D2ds_v5" if is_prod else "Standard_B1ms"),
            tier=data.settings.get("tier", "GeneralPurpose" if is_prod else "Burstable"),
        ),
        storage=dbforpostgresql.StorageArgs(
            storage_size_gb=int(data.settings.get("storageGb", 32))
        ),
        auth_config=dbforpostgresql.AuthConfigArgs(
            active_directory_auth="Enabled",
            password_auth="Disabled",  # noqa: S106  that is the point
            tenant_id=ground.identity.tenant_id,
        ),
        network=dbforpostgresql.NetworkArgs(public_network_access=ground.public_access),
        **ground.where,
        opts=ground.options(protect=data.protected),
    )
    inside = {"server_name": server.name, "resource_group_name": ground.group.name}
    administrator = dbforpostgresql.AdministratorsMicrosoftEntra(
        f"{data_resource_name(data.name)}-administrator",
        object_id=ground.identity.principal_id,
        principal_name=ground.identity.name,
        principal_type="ServicePrincipal",
        tenant_id=ground.identity.tenant_id,
        **inside,
        opts=pulumi.ResourceOptions(parent=server),
    )
    dbforpostgresql.Database(
        f"{data_resource_name(data.name)}-database",
        database_name=data.name,
        **inside,
        # The server takes one change at a time.
        opts=pulumi.ResourceOptions(
            parent=server, protect=data.protected, depends_on=[administrator]
        ),
    )
    return (
        server,
        server.fully_qualified_domain_name,
        "postgresqlServer",
        "privatelink.postgres.database.azure.com",
    )


def _sql(ground: Foundation, data: DataResourceInput) -> Made:
    server = sql.Server(
        data_resource_name(data.name),
        server_name=name(Kind.SQL, ground.inputs, data.name),
        version="12.0",
        minimal_tls_version="1.2",
        administrators=sql.ServerExternalAdministratorArgs(
            administrator_type="ActiveDirectory",
            azure_ad_only_authentication=True,
            login=ground.identity.name,
            principal_type="Application",
            sid=ground.identity.client_id,
            tenant_id=ground.identity.tenant_id,
        ),
        public_network_access=ground.public_access,
        **ground.where,
        opts=ground.options(protect=data.protected),
    )
    sql.Database(
        f"{data_resource_name(data.name)}-database",
        database_name=data.name,
        server_name=server.name,
        sku=sql.SkuArgs(
            name=data.settings.get("sku", "S0"), tier=data.settings.get("tier", "Standard")
        ),
        **ground.where,
        opts=ground.options(parent=server, protect=data.protected),
    )
    return (
        server,
        server.fully_qualified_domain_name,
        "sqlServer",
        "privatelink.database.windows.net",
    )


def _blobs(ground: Foundation, data: DataResourceInput) -> Made:
    default = "ZRS" if ground.inputs.stage == "prod" else "LRS"
    account = storage.StorageAccount(
        data_resource_name(data.name),
        account_name=name(Kind.STORAGE, ground.inputs, data.name),
        kind="StorageV2",
        sku=storage.SkuArgs(name=f"Standard_{data.settings.get('replication', default)}"),
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        enable_https_traffic_only=True,
        minimum_tls_version="TLS1_2",
        public_network_access=ground.public_access,
        **ground.where,
        opts=ground.options(protect=data.protected),
    )
    storage.BlobContainer(
        f"{data_resource_name(data.name)}-container",
        account_name=account.name,
        resource_group_name=ground.group.name,
        container_name=data.name,
        public_access="None",
        opts=pulumi.ResourceOptions(parent=account, protect=data.protected),
    )
    ground.grant(data_resource_name(data.name), account.id, "Storage Blob Data Contributor")
    endpoint = pulumi.Output.concat("https://", account.name, ".blob.core.windows.net/")
    return account, endpoint, "blob", "privatelink.blob.core.windows.net"


def _service_bus(ground: Foundation, data: DataResourceInput) -> Made:
    # Private endpoints are Premium's.
    sku = data.settings.get("sku", "Premium" if ground.is_closed else "Standard")
    namespace = servicebus.Namespace(
        data_resource_name(data.name),
        namespace_name=name(Kind.SERVICE_BUS, ground.inputs, data.name),
        sku=servicebus.SBSkuArgs(name=sku, tier=sku),
        disable_local_auth=True,
        minimum_tls_version="1.2",
        public_network_access=ground.public_access,
        **ground.where,
        opts=ground.options(protect=data.protected),
    )
    ground.grant(data_resource_name(data.name), namespace.id, "Azure Service Bus Data Owner")
    endpoint = pulumi.Output.concat(namespace.name, ".servicebus.windows.net")
    return namespace, endpoint, "namespace", "privatelink.servicebus.windows.net"


def _redis(ground: Foundation, data: DataResourceInput) -> Made:
    cluster = redisenterprise.RedisEnterprise(
        data_resource_name(data.name),
        cluster_name=name(Kind.REDIS, ground.inputs, data.name),
        sku=redisenterprise.SkuArgs(name=data.settings.get("sku", "Balanced_B0")),
        minimum_tls_version="1.2",
        high_availability="Enabled" if ground.inputs.stage == "prod" else "Disabled",
        public_network_access=ground.public_access,
        **ground.where,
        opts=ground.options(protect=data.protected),
    )
    inside = {"cluster_name": cluster.name, "resource_group_name": ground.group.name}
    database = redisenterprise.Database(
        f"{data_resource_name(data.name)}-database",
        database_name="default",  # the only name there is
        access_keys_authentication="Disabled",
        client_protocol="Encrypted",
        **inside,
        opts=pulumi.ResourceOptions(parent=cluster, protect=data.protected),
    )
    redisenterprise.AccessPolicyAssignment(
        f"{data_resource_name(data.name)}-access",
        access_policy_assignment_name="environment",
        access_policy_name="default",
        database_name=database.name,
        user=redisenterprise.AccessPolicyAssignmentPropertiesUserArgs(
            object_id=ground.identity.principal_id
        ),
        **inside,
        opts=pulumi.ResourceOptions(parent=cluster),
    )
    return cluster, cluster.host_name, "redisEnterprise", "privatelink.redis.azure.net"


MAKERS: Final[Mapping[str, Callable[[Foundation, DataResourceInput], Made]]] = {
    "CosmosDb": _cosmos,
    "PostgreSql": _postgres,
    "SqlDatabase": _sql,
    "BlobStorage": _blobs,
    "ServiceBus": _service_bus,
    "Redis": _redis,
}
