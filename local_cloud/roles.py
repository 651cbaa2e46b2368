"""Which identity of the local cloud has which role where: the one table, as in Azure.

A role is one of Azure's built-in roles of the data plane. A scope is a path, and holds for what
lies below it. `tools/azure_template.py` prints the same for Azure.
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles and
https://learn.microsoft.com/azure/cosmos-db/nosql/security/reference-data-plane-roles.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.contracts.commands import COMMANDS
from shared.contracts.entities import FACTORY_EVENTS, RUNTIME_EVENTS, command_queue
from shared.contracts.events import BUILT, EVENTS, subscription
from shared.contracts.storage import (
    ARTIFACTS,
    AUDIT,
    AUDIT_HEADS,
    CONFIGURATION_REPORTS,
    DATABASE,
    DRIFT_SNAPSHOTS,
    HEALTH_SAMPLES,
    LOGS,
    SCALING_SAMPLES,
)
from shared.contracts.values import Service
from shared.messaging.entity_path import subscription_path

OPERATOR: Final = "operator"
"""The identity of a person who looks, replays dead letters and sets secrets."""
COSMOS_DB: Final = "cosmos-db"
SERVICE_BUS: Final = "service-bus"
TABLES: Final = "tables"
BLOBS: Final = "blobs"
KEY_VAULT: Final = "key-vault"
"""The vault with the platform's own secrets."""
ENVIRONMENT_VAULTS: Final = "environment-vaults"
"""All others: those of environments, and external ones."""


class Role(StrEnum):
    """The built-in roles that are assigned here."""

    COSMOS_CONTRIBUTOR = "Cosmos DB Built-in Data Contributor"
    COSMOS_READER = "Cosmos DB Built-in Data Reader"
    BUS_SENDER = "Azure Service Bus Data Sender"
    BUS_RECEIVER = "Azure Service Bus Data Receiver"
    BUS_OWNER = "Azure Service Bus Data Owner"
    TABLE_CONTRIBUTOR = "Storage Table Data Contributor"
    TABLE_READER = "Storage Table Data Reader"
    BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"
    BLOB_READER = "Storage Blob Data Reader"
    SECRETS_OFFICER = "Key Vault Secrets Officer"
    SECRETS_USER = "Key Vault Secrets User"
    VAULT_READER = "Key Vault Reader"


@dataclass(frozen=True)
class Assignment:
    """*identity* has *role* at *scope* and below."""

    identity: str
    role: Role
    scope: str

    def holds_at(self, resource: str) -> bool:
        """Return whether *resource* is the scope, or lies in it."""
        return f"{resource}/".startswith(f"{self.scope}/")


def container_scope(container: str, database: str = DATABASE) -> str:
    return f"{COSMOS_DB}/dbs/{database}/colls/{container}"


def assignments(services: Collection[Service] = BUILT) -> tuple[Assignment, ...]:
    """Return the roles of the apps *services* and of the operator."""
    apps = [each for service in sorted(services) for each in _of_app(service)]
    return (*apps, *_of_operator())


_TABLES: Final = {
    Service.HEALTH: HEALTH_SAMPLES,
    Service.CONFIGURATIONS: CONFIGURATION_REPORTS,
    Service.SCALING: SCALING_SAMPLES,
    Service.DRIFT: DRIFT_SNAPSHOTS,
}
"""Of one service alone."""


_VAULTS: Final = {
    Service.TENANTS: (Role.SECRETS_OFFICER, KEY_VAULT),
    Service.SECRET_BINDINGS: (Role.SECRETS_OFFICER, ENVIRONMENT_VAULTS),
    Service.DRIFT: (Role.SECRETS_USER, ENVIRONMENT_VAULTS),
}
"""Of one service alone, too."""


def _of_app(service: Service) -> Iterator[Assignment]:
    name = service.public_name
    for container in (service.value, f"{service.value}-leases"):
        yield Assignment(name, Role.COSMOS_CONTRIBUTOR, container_scope(container))
    for entity in sorted(_sent_to(service)):
        yield Assignment(name, Role.BUS_SENDER, f"{SERVICE_BUS}/{entity}")
    yield Assignment(name, Role.BUS_RECEIVER, f"{SERVICE_BUS}/{command_queue(service)}")
    for topic in (RUNTIME_EVENTS, FACTORY_EVENTS):
        if subscription(topic, service):
            path = subscription_path(topic, name)
            yield Assignment(name, Role.BUS_RECEIVER, f"{SERVICE_BUS}/{path}")
    yield Assignment(name, Role.TABLE_CONTRIBUTOR, f"{TABLES}/{AUDIT}")
    if service in _TABLES:
        yield Assignment(name, Role.TABLE_CONTRIBUTOR, f"{TABLES}/{_TABLES[service]}")
    if service is Service.DEPLOYMENTS:
        for container in (ARTIFACTS, AUDIT_HEADS, LOGS):
            yield Assignment(name, Role.BLOB_CONTRIBUTOR, f"{BLOBS}/{container}")
    if service in _VAULTS:
        yield Assignment(name, *_VAULTS[service])


def _sent_to(service: Service) -> set[str]:
    """Return the topic and the queues to which *service* sends."""
    queues = {row.queue for row in COMMANDS.values() if service in row.senders}
    publishes = any(service in row.producers for row in EVENTS.values())
    return queues | ({RUNTIME_EVENTS} if publishes else set())


def _of_operator() -> Iterator[Assignment]:
    yield Assignment(OPERATOR, Role.COSMOS_READER, COSMOS_DB)
    yield Assignment(OPERATOR, Role.BUS_OWNER, SERVICE_BUS)
    yield Assignment(OPERATOR, Role.TABLE_READER, TABLES)
    yield Assignment(OPERATOR, Role.BLOB_READER, BLOBS)
    for vaults in (KEY_VAULT, ENVIRONMENT_VAULTS):
        yield Assignment(OPERATOR, Role.SECRETS_OFFICER, vaults)
