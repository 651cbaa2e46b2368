"""The table of roles against what each app opens, listens to and sends to."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import azure.durable_functions as df
import pytest

from local_cloud.roles import (
    COSMOS_DB,
    ENVIRONMENT_VAULTS,
    KEY_VAULT,
    OPERATOR,
    Role,
    assignments,
    container_scope,
)
from shared.composition.azure import AzureParts
from shared.composition.settings import Need, Settings, read_settings
from shared.contracts.events import BUILT
from shared.contracts.storage import DATABASE
from shared.contracts.values import Service
from shared.messaging.entity_path import subscription_path
from shared.persistence.blobs import Blobs
from shared.persistence.store import Store
from shared.persistence.tables import Table
from shared.vault.port import SecretVault, Vaults
from tests.kit.apps import APPS, TRIGGERS

SETTINGS: Final = {
    Need.COSMOS_DB: "https://localhost:1",
    Need.SERVICE_BUS: "localhost:1",
    Need.TABLES: "https://127.0.0.1:1",
    Need.BLOBS: "https://127.0.0.1:1",
    Need.GATEWAY: "https://localhost:1",
    Need.VAULT: "https://localhost:1",
    "RUNTIME_PROFILE": "local",
    "RUNTIME_ISSUER_KEYS": "/keys.json",
}
SENT: Final = {Role.BUS_SENDER}
OPERATORS: Final = {each.role for each in assignments() if each.identity == OPERATOR}


class NotedParts(AzureParts):
    """Azure's parts, which note the scope of what is opened."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.opened: set[str] = set()

    def store(self, container: str) -> Store:
        self.opened.add(container_scope(container, DATABASE))
        return super().store(container)

    def table(self, name: str) -> Table:
        self.opened.add(f"tables/{name}")
        return super().table(name)

    def blobs(self, container: str) -> Blobs:
        self.opened.add(f"blobs/{container}")
        return super().blobs(container)

    def vault(self) -> SecretVault:
        self.opened.add(KEY_VAULT)
        return super().vault()

    def vaults(self) -> Vaults:
        self.opened.add(ENVIRONMENT_VAULTS)
        return super().vaults()

    def engine(self) -> Any:
        return None  # it has no data plane


def listened_to(blueprint: df.Blueprint) -> Iterable[str]:
    app = df.DFApp()
    app.register_functions(blueprint)
    for function in app.get_functions():
        trigger = function.get_trigger().get_dict_repr()
        match trigger["type"]:
            case "serviceBusTrigger" if "topicName" in trigger:
                path = subscription_path(trigger["topicName"], trigger["subscriptionName"])
                yield f"service-bus/{path}"
            case "serviceBusTrigger":
                yield f"service-bus/{trigger['queueName']}"
            case "cosmosDBTrigger":
                yield container_scope(trigger["containerName"], trigger["databaseName"])
                yield container_scope(trigger["leaseContainerName"], trigger["databaseName"])


@pytest.mark.parametrize("name", sorted(APPS))
def test_an_identity_reaches_what_its_app_uses_and_nothing_else(name: str, tmp_path: Path) -> None:
    parts = NotedParts(read_settings({**SETTINGS, "RUNTIME_AGENT_FOLDER": str(tmp_path)}))
    app = APPS[name].build(parts._settings, parts)
    listened = listened_to(TRIGGERS[name].blueprint(app))

    used = parts.opened | set(listened)

    identity = Service(name).public_name
    assigned = [each for each in assignments() if each.identity == identity]
    assert {each.scope for each in assigned if each.role not in SENT} == used


def test_every_app_that_exists_has_an_identity() -> None:
    identities = {each.identity for each in assignments()}

    assert identities == {service.public_name for service in BUILT} | {OPERATOR}


@pytest.mark.parametrize(
    ("service", "handlers"),
    [
        (Service.ENVIRONMENTS, set()),
        (Service.DEPLOYMENTS, {"deployments", "health", "secret-bindings", "tenants"}),
        (Service.CATALOG, {"catalog"}),
        (Service.HEALTH, {"health"}),
    ],
)
def test_an_app_sends_events_and_the_commands_that_the_contracts_say(
    service: Service, handlers: set[str]
) -> None:
    entities = {each.scope for each in assignments([service]) if each.role in SENT}

    queues = {f"runtime-{handler}-commands" for handler in handlers}
    assert entities == {f"service-bus/{name}" for name in {*queues, "runtime-events"}}


def test_only_the_operator_reads_all_stores_and_who_signs_the_platforms_secrets() -> None:
    reaching = {each.scope: set[str]() for each in assignments()}
    for each in assignments():
        reaching[each.scope].add(each.identity)

    assert reaching[COSMOS_DB] == {OPERATOR}
    assert reaching[KEY_VAULT] == {OPERATOR, Service.TENANTS.public_name}


def test_the_page_shows_who_has_which_role() -> None:
    page = (Path(__file__).parents[2] / "local_cloud" / "README.md").read_text()
    shown = re.findall(
        r"^\| (each app|deployments|drift|`operator`) \| ([^|]+) \|", page, re.MULTILINE
    )
    named = {(who, role) for who, roles in shown for role in roles.split(", ")}
    everybody = set.intersection(
        *({each.role for each in assignments([service])} - OPERATORS for service in BUILT)
    )

    assert {role for who, role in named if who == "each app"} == everybody
    assert {role for who, role in named if who == "`operator`"} == OPERATORS
    assert {role for _, role in named} == {each.role for each in assignments()}
