"""Rewrites the tables of `docs/azure-resources.md`: what the apps need in Azure, and who may what.

They are those by which the local cloud declares and checks, and `tools/azure_template.py` prints.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cli.state_folder import REPOSITORY
from local_cloud.broker.rules import CorrelationFilter
from local_cloud.broker.topology import Subscription
from local_cloud.roles import (
    BLOBS,
    ENVIRONMENT_VAULTS,
    KEY_VAULT,
    OPERATOR,
    SERVICE_BUS,
    Role,
    assignments,
    container_scope,
)
from local_cloud.roles import TABLES as TABLE_SCOPE
from local_cloud.runtime_containers import runtime_containers
from local_cloud.runtime_topology import runtime_topology
from shared.contracts.events import BUILT
from shared.contracts.storage import CONTAINERS, DATABASE, TABLES
from shared.messaging.entity_path import subscription_path
from shared.messaging.envelope import TYPE_PROPERTY
from tools.azure_template import HOST_ROLES, app_settings

PAGE: Final = REPOSITORY / "docs" / "azure-resources.md"
_MARK: Final = "<!-- from the tables -->\n"

_OFFICER: Final = Role.SECRETS_OFFICER
_USER: Final = Role.SECRETS_USER


def rewritten(page: str) -> str:
    """Return *page* with what follows the mark as the tables have it."""
    sections = [*_cosmos_db(), *_service_bus(), *_storage(), *_vaults(), *_apps(), *_operator()]
    head, mark, _ = page.partition(_MARK)
    return head + mark + "\n" + "\n".join(sections)


def _cosmos_db() -> Sequence[str]:
    rows = [
        (
            f"`{each['id']}`",
            _listed(each["partitionKey"]["paths"]),
            "each document's own" if each.get("defaultTtl") == -1 else "off",
            _who(Role.COSMOS_CONTRIBUTOR, container_scope(each["id"])),
        )
        for each in runtime_containers()
    ]
    return _section(
        f"Cosmos DB: database `{DATABASE}`",
        ("container", "partition key", "time to live", Role.COSMOS_CONTRIBUTOR),
        rows,
    )


def _service_bus() -> Sequence[str]:
    topology = runtime_topology(BUILT)
    topics = [
        (f"`{topic.name}`", _who(Role.BUS_SENDER, f"{SERVICE_BUS}/{topic.name}"))
        for topic in topology.topics
    ]
    subscriptions = [
        (
            f"`{each.name}` of `{topic.name}`",
            _listed(_events(each)),
            str(each.settings.max_delivery_count),
            _who(Role.BUS_RECEIVER, f"{SERVICE_BUS}/{subscription_path(topic.name, each.name)}"),
        )
        for topic in topology.topics
        for each in topic.subscriptions
    ]
    queues = [
        (
            f"`{each.name}`",
            str(each.settings.max_delivery_count),
            _who(Role.BUS_SENDER, f"{SERVICE_BUS}/{each.name}"),
            _who(Role.BUS_RECEIVER, f"{SERVICE_BUS}/{each.name}"),
        )
        for each in topology.queues
    ]
    receiver = ("deliveries", Role.BUS_RECEIVER)
    return [
        *_section("Service Bus: topics", ("topic", Role.BUS_SENDER), topics),
        *_section(
            "Service Bus: subscriptions",
            ("subscription", f"filters on `{TYPE_PROPERTY}`", *receiver),
            subscriptions,
        ),
        *_section(
            "Service Bus: queues",
            ("queue", "deliveries", Role.BUS_SENDER, Role.BUS_RECEIVER),
            queues,
        ),
    ]


def _events(subscription: Subscription) -> Iterable[str]:
    for each in subscription.filters:
        assert isinstance(each, CorrelationFilter), "the platform declares no other"
        yield from (str(name) for name in each.properties.values())


def _storage() -> Sequence[str]:
    tables = [
        ("table", f"`{name}`", _who(Role.TABLE_CONTRIBUTOR, f"{TABLE_SCOPE}/{name}"))
        for name in TABLES
    ]
    blobs = [
        ("blob container", f"`{name}`", _who(Role.BLOB_CONTRIBUTOR, f"{BLOBS}/{name}"))
        for name in CONTAINERS
    ]
    head = ("", "name", f"{Role.TABLE_CONTRIBUTOR}, {Role.BLOB_CONTRIBUTOR}")
    return _section("Storage", head, [*tables, *blobs])


def _vaults() -> Sequence[str]:
    vaults = {
        "the platform's own vault": KEY_VAULT,
        "the vault of each environment": ENVIRONMENT_VAULTS,
    }
    rows = [
        (what, f"`{scope}`", *(_who(role, scope) for role in (_OFFICER, _USER)))
        for what, scope in vaults.items()
    ]
    return _section("Key Vault", ("", "name", _OFFICER, _USER), rows)


def _apps() -> Sequence[str]:
    rows = [
        ("roles on the storage account of the Functions hosts", _listed(HOST_ROLES)),
        ("settings", _listed(app_settings())),
    ]
    return _section(
        "Each app", ("", "of " + ", ".join(each.public_name for each in sorted(BUILT))), rows
    )


def _operator() -> Sequence[str]:
    rows = [
        (each.role.value, f"all of `{each.scope}`")
        for each in assignments()
        if each.identity == OPERATOR
    ]
    return _section("Operator", ("role", "where"), rows)


def _who(role: Role, scope: str) -> str:
    """Return which apps have *role* at *scope*."""
    names = [
        each.identity
        for each in assignments()
        if (each.role, each.scope) == (role, scope) and each.identity != OPERATOR
    ]
    return ", ".join(names) or "nobody yet"


def _listed(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Sequence[str]:
    lines = [f"## {title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
