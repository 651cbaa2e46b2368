"""Prints an ARM template of a trial environment in Azure, from the tables that the local cloud has.

    python -m tools.azure_template > build/azure.json

One resource group: stores, entities and containers as the local cloud declares them, the packages'
apps on Flex Consumption, and the roles of `local_cloud/roles.py`. `docs/azure-verification.md` says
how it is deployed and what is asked of it. It is no production environment: no network of its own.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from local_cloud.broker.rules import CorrelationFilter
from local_cloud.broker.topology import Queue, QueueSettings, Subscription
from local_cloud.roles import (
    COSMOS_DB,
    ENVIRONMENT_VAULTS,
    KEY_VAULT,
    OPERATOR,
    SERVICE_BUS,
    Assignment,
    Role,
    assignments,
)
from local_cloud.roles import TABLES as TABLE_SCOPE
from local_cloud.runtime_containers import runtime_containers
from local_cloud.runtime_topology import runtime_topology
from shared.contracts.events import BUILT
from shared.contracts.storage import CONTAINERS, DATABASE, TABLES
from shared.contracts.values import Service

Resource = dict[str, Any]
ROLE_IDS: Final[Mapping[str, str]] = {
    Role.BUS_SENDER: "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    Role.BUS_RECEIVER: "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    Role.BUS_OWNER: "090c5cfd-751d-490a-894a-3ce6f1109419",
    Role.TABLE_CONTRIBUTOR: "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    Role.TABLE_READER: "76199698-9eea-4c19-bc75-cec21354c6b6",
    Role.BLOB_CONTRIBUTOR: "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    Role.BLOB_READER: "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    Role.SECRETS_OFFICER: "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
}
"""https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"""
COSMOS_ROLES: Final[Mapping[str, str]] = {
    Role.COSMOS_READER: "00000000-0000-0000-0000-000000000001",
    Role.COSMOS_CONTRIBUTOR: "00000000-0000-0000-0000-000000000002",
}
"""https://learn.microsoft.com/azure/cosmos-db/nosql/security/reference-data-plane-roles"""
HOST_ROLES: Final[Mapping[str, str]] = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
"""What the Functions host and Durable do in the storage account that is theirs alone."""
TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "cosmos": ("Microsoft.DocumentDB/databaseAccounts", "2024-05-15"),
    "bus": ("Microsoft.ServiceBus/namespaces", "2021-11-01"),
    "store": ("Microsoft.Storage/storageAccounts", "2023-05-01"),
    "host": ("Microsoft.Storage/storageAccounts", "2023-05-01"),
    "vault": ("Microsoft.KeyVault/vaults", "2023-07-01"),
}
"""Type and version of each account, which is called by the parameter `prefix` and its key here."""
PARAMETERS: Final = ("prefix", "operatorId", "issuers", "audience", "tenants")
WEB: Final = "2023-12-01"
PYTHON: Final = "3.13"


def template() -> Mapping[str, Any]:
    """Return the template; its parameters are texts."""
    resources = [*_accounts(), *_stores(), *_entities()]
    for service in sorted(BUILT):
        resources += _app(service)
    # The vaults of environments are in groups of their own, which others make.
    resources += [_assigned(each) for each in assignments() if each.scope != ENVIRONMENT_VAULTS]
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {name: {"type": "string"} for name in PARAMETERS},
        "resources": resources,
    }


def _resource(account: str, path: str, *segments: str, **content: Any) -> Resource:
    """Return the resource *path* below *account*; *segments* are its names there."""
    name = "".join(f"/{each}" for each in segments)
    above, names = path.rpartition("/")[0], segments[:-1]
    if "default" in names:  # the service of a storage account, which is there with it
        above, names = "", ()
    return {
        "type": _type(account, path),
        "apiVersion": TYPES[account][1],
        "name": f"[concat(parameters('prefix'), '{account}{name}')]",
        **({"dependsOn": [f"[{_id(account, above, *names)}]"]} if segments else {}),
        **content,
    }


def _type(kind: str, path: str) -> str:
    return f"{TYPES[kind][0]}/{path}".rstrip("/")


def _id(kind: str, path: str, *segments: str) -> str:
    """Return the expression of a resource's id."""
    names = "".join(f", '{each}'" for each in segments)
    return f"resourceId('{_type(kind, path)}', concat(parameters('prefix'), '{kind}'){names})"


def _accounts() -> Iterator[Resource]:
    place = "[resourceGroup().location]"
    closed = {"allowSharedKeyAccess": False, "allowBlobPublicAccess": False}
    locations = [{"locationName": place, "failoverPriority": 0}]
    cosmos = {
        "databaseAccountOfferType": "Standard",
        "locations": locations,
        "capabilities": [{"name": "EnableServerless"}],
        "disableLocalAuth": True,
    }
    vault = {
        "tenantId": "[subscription().tenantId]",
        "sku": {"family": "A", "name": "standard"},
        "enableRbacAuthorization": True,
    }
    yield _resource("cosmos", "", location=place, kind="GlobalDocumentDB", properties=cosmos)
    yield _resource(
        "bus", "", location=place, sku={"name": "Standard"}, properties={"disableLocalAuth": True}
    )
    yield _resource("vault", "", location=place, properties=vault)
    for kind in ("store", "host"):
        sku = {"name": "Standard_LRS"}
        yield _resource(kind, "", location=place, kind="StorageV2", sku=sku, properties=closed)


def _stores() -> Iterator[Resource]:
    database = {"resource": {"id": DATABASE}}
    yield _resource("cosmos", "sqlDatabases", DATABASE, properties=database)
    for definition in runtime_containers():
        content = {"resource": definition}
        names = (DATABASE, definition["id"])
        yield _resource("cosmos", "sqlDatabases/containers", *names, properties=content)
    for table in TABLES:
        yield _resource("store", "tableServices/tables", "default", table)
    for container in CONTAINERS:
        yield _resource("store", "blobServices/containers", "default", container)
    for service in sorted(BUILT):
        yield _resource("host", "blobServices/containers", "default", service.public_name)


def _entities() -> Iterator[Resource]:
    topology = runtime_topology(BUILT)
    for queue in topology.queues:
        yield _queue(queue)
    for topic in topology.topics:
        yield _resource("bus", "topics", topic.name, properties={})
        for subscription in topic.subscriptions:
            yield from _subscribed(topic.name, subscription)


def _queue(queue: Queue) -> Resource:
    return _resource("bus", "queues", queue.name, properties=_settled(queue.settings))


def _settled(settings: QueueSettings) -> Mapping[str, Any]:
    return {
        "lockDuration": f"PT{settings.lock_s:.0f}S",
        "maxDeliveryCount": settings.max_delivery_count,
    }


def _subscribed(topic: str, subscription: Subscription) -> Iterator[Resource]:
    """Yield the subscription and its rules; the first takes the place of the one that takes all."""
    path, names = "topics/subscriptions", (topic, subscription.name)
    yield _resource("bus", path, *names, properties=_settled(subscription.settings))
    for number, each in enumerate(subscription.filters):
        assert isinstance(each, CorrelationFilter), "the platform declares no other"
        properties = dict(each.properties)
        rule = {"filterType": "CorrelationFilter", "correlationFilter": {"properties": properties}}
        name = "-".join(properties.values()) if number else "$Default"
        yield _resource("bus", f"{path}/rules", *names, name, properties=rule)


def _app(service: Service) -> Iterator[Resource]:
    name = f"concat(parameters('prefix'), '-{service.public_name}')"
    plan = {
        "type": "Microsoft.Web/serverfarms",
        "apiVersion": WEB,
        "name": f"[{name}]",
        "location": "[resourceGroup().location]",
        "kind": "functionapp",
        "sku": {"tier": "FlexConsumption", "name": "FC1"},
        "properties": {"reserved": True},
    }
    code = f"'host.blob.', environment().suffixes.storage, '/{service.public_name}'"
    configuration = {
        "deployment": {
            "storage": {
                "type": "blobContainer",
                "value": f"[concat('https://', parameters('prefix'), {code})]",
                "authentication": {"type": "SystemAssignedIdentity"},
            }
        },
        "runtime": {"name": "python", "version": PYTHON},
        "scaleAndConcurrency": {"instanceMemoryMB": 2048, "maximumInstanceCount": 40},
    }
    site = {
        "type": "Microsoft.Web/sites",
        "apiVersion": WEB,
        "name": f"[{name}]",
        "location": "[resourceGroup().location]",
        "kind": "functionapp,linux",
        "identity": {"type": "SystemAssigned"},
        "dependsOn": [f"[resourceId('Microsoft.Web/serverfarms', {name})]"],
        "properties": {
            "serverFarmId": f"[resourceId('Microsoft.Web/serverfarms', {name})]",
            "functionAppConfig": configuration,
            "siteConfig": {
                "appSettings": [{"name": key, "value": of} for key, of in app_settings().items()]
            },
        },
    }
    yield plan
    yield site
    for role in HOST_ROLES.values():
        yield _granted(role, ("host", ""), service.public_name)


def app_settings() -> Mapping[str, str]:
    """Return the settings of each app, as expressions of the template."""
    host = "concat('https://', parameters('prefix'), '{}')"
    return {
        "AzureWebJobsStorage__accountName": "[concat(parameters('prefix'), 'host')]",
        "CosmosDB__accountEndpoint": f"[{host.format('cosmos.documents.azure.com:443/')}]",
        "ServiceBus__fullyQualifiedNamespace": (
            "[concat(parameters('prefix'), 'bus.servicebus.windows.net')]"
        ),
        "Storage__tableServiceUri": f"[{host.format('store.table.core.windows.net')}]",
        "Storage__blobServiceUri": f"[{host.format('store.blob.core.windows.net')}]",
        "KeyVault__vaultUri": f"[{host.format('vault.vault.azure.net')}]",
        "RUNTIME_GATEWAY_URL": f"[{host.format('-health.azurewebsites.net')}]",
        "RUNTIME_ISSUERS": "[parameters('issuers')]",
        "RUNTIME_AUDIENCE": "[parameters('audience')]",
        "RUNTIME_TENANTS": "[parameters('tenants')]",
        "RUNTIME_AGENT_FOLDER": "/tmp/agent",  # noqa: S108  nobody is there: workloads are unknown
        "RUNTIME_ENGINE_FOLDER": "/tmp/engine",  # noqa: S108
    }


def _assigned(assignment: Assignment) -> Resource:
    """Return the role assignment of the local cloud's table, at the same place in Azure."""
    service, *words = assignment.scope.split("/")
    if service == COSMOS_DB:
        return _cosmos_assigned(assignment, words)
    return _granted(ROLE_IDS[assignment.role], _place(service, words), assignment.identity)


def _place(service: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return the kind of account, the type below it and the names of what a scope names."""
    match service, *words:
        case (service, entity) if service == SERVICE_BUS:
            is_topic = entity in {topic.name for topic in runtime_topology(BUILT).topics}
            return "bus", "topics" if is_topic else "queues", entity
        case (service, topic, _, name) if service == SERVICE_BUS:
            return "bus", "topics/subscriptions", topic, name
        case (_, name):
            path = "tableServices/tables" if service == TABLE_SCOPE else "blobServices/containers"
            return "store", path, "default", name
        case _:
            account = {SERVICE_BUS: "bus", KEY_VAULT: "vault"}.get(service, "store")
            return account, ""


def _granted(role: str, place: tuple[str, ...], identity: str) -> Resource:
    """Return the assignment of *role* to *identity* at *place*."""
    scope = _id(*place)
    kind, path, *names = place
    pairs = zip(path.split("/"), names, strict=False) if path else ()
    relative = "".join(f"/{of}/{name}" for of, name in pairs)
    definition = f"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{role}')"
    principal, needs = _principal(identity)
    return {
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": "2022-04-01",
        "scope": f"[concat('{TYPES[kind][0]}/', parameters('prefix'), '{kind}{relative}')]",
        "name": f"[guid({scope}, '{identity}', '{role}')]",
        "dependsOn": [f"[{scope}]", *needs],
        "properties": {"roleDefinitionId": f"[{definition}]", **principal},
    }


def _cosmos_assigned(assignment: Assignment, words: Sequence[str]) -> Resource:
    """Return the assignment of one of the account's own roles, at a container or all of it."""
    account, role = _id("cosmos", ""), COSMOS_ROLES[assignment.role]
    below = "".join(f"/{word}" for word in words)
    principal, needs = _principal(assignment.identity)
    definition = f"resourceId('{TYPES['cosmos'][0]}/sqlRoleDefinitions', {{}}, '{role}')"
    database = _id("cosmos", "sqlDatabases", DATABASE)
    return {
        "type": f"{TYPES['cosmos'][0]}/sqlRoleAssignments",
        "apiVersion": TYPES["cosmos"][1],
        "name": (
            "[concat(parameters('prefix'), 'cosmos/',"
            f" guid({account}, '{assignment.identity}{below}', '{role}'))]"
        ),
        "dependsOn": [f"[{database}]", *needs],
        "properties": {
            "roleDefinitionId": f"[{definition.format(_NAME_OF_ACCOUNT)}]",
            "scope": f"[concat({account}, '{below}')]",
            "principalId": principal["principalId"],
        },
    }


_NAME_OF_ACCOUNT: Final = "concat(parameters('prefix'), 'cosmos')"


def _principal(identity: str) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return who *identity* is in Azure, and the resource that has to be there before."""
    if identity == OPERATOR:
        return {"principalId": "[parameters('operatorId')]", "principalType": "User"}, ()
    site = f"resourceId('Microsoft.Web/sites', concat(parameters('prefix'), '-{identity}'))"
    principal = f"[reference({site}, '{WEB}', 'full').identity.principalId]"
    return {"principalId": principal, "principalType": "ServicePrincipal"}, (f"[{site}]",)


if __name__ == "__main__":
    json.dump(template(), sys.stdout, indent=1)
