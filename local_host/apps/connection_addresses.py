"""Where the connection of a binding leads, in words for the boot table; never with its key.

A binding whose connection is not set works over the host's own cloud. Azure refuses it, so a slip
in the name has to be seen here.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from local_host.apps.configuration import EMBEDDED, Configuration
from local_host.model import Binding


class _Service(NamedTuple):
    title: str
    connection: str
    """Of a binding that names none."""
    address: str
    """What an identity's settings call it."""


_SERVICE_BUS: Final = _Service("Service Bus", "ServiceBus", "fullyQualifiedNamespace")
_COSMOS_DB: Final = _Service("Cosmos DB", "CosmosDB", "accountEndpoint")
_SERVICES: Final[Mapping[str, _Service]] = {
    "servicebustrigger": _SERVICE_BUS,
    "servicebus": _SERVICE_BUS,
    "cosmosdbtrigger": _COSMOS_DB,
    "cosmosdb": _COSMOS_DB,
}
_ENDPOINT: Final = re.compile(r"(?:^|;)\s*(?:Account)?Endpoint=([^;\s]+)", re.IGNORECASE)
_PREFIX: Final = re.compile(r"^(?:ConnectionStrings(?::|__))?(?:AzureWebJobs)?", re.IGNORECASE)
_LIKENESS: Final = 0.7
"""`MyBuss` is like `MyBus`, `Orders` is not like `Storage`."""


def place_of(binding: Binding, configuration: Configuration) -> str:
    """Return where *binding* leads, by which setting; empty for what needs no connection."""
    service = _SERVICES.get(binding.type.lower())
    if service is None:
        return ""
    name = binding.text("connection") or service.connection
    connection = configuration.connection(name, service.connection)
    if connection is None:
        text = EMBEDDED if _is_embedded(name, configuration) else "not set"
        return f"this host's own ({name} is {text})"
    endpoint = _ENDPOINT.search(connection.text or "")
    address = endpoint[1] if endpoint else connection.identity.get(service.address, "no address")
    return f"{address.rstrip('/')} ({name})"


def slips_of(binding: Binding, configuration: Configuration) -> Iterator[str]:
    """Yield what to warn of: a connection without a setting, where one of a like name is set."""
    service = _SERVICES.get(binding.type.lower())
    if service is None:
        return
    for key in ("connection", "leaseConnection"):
        name = binding.text(key)
        if not name or _is_embedded(name, configuration):
            continue
        if configuration.connection(name, service.connection) is None:
            near = _nearest(name, configuration, service)
            if near is not None:
                yield (
                    f"its {key} {name} is not set, so {binding.name!r} is at this host's own"
                    f" {service.title}; did you mean {near}, which is set?"
                )


def _is_embedded(name: str, configuration: Configuration) -> bool:
    values = configuration.values
    return EMBEDDED in (values.get(name), values.get(f"AzureWebJobs{name}"))


def _nearest(name: str, configuration: Configuration, service: _Service) -> str | None:
    known = {found.lower(): found for found in _connections(configuration, service)}
    near = difflib.get_close_matches(name.lower(), known, 1, _LIKENESS)
    return known[near[0]] if near else None


def _connections(configuration: Configuration, service: _Service) -> Iterator[str]:
    """Yield the names of the settings that hold a connection to *service*."""
    for setting, value in configuration.values.items():
        name, _, part = _PREFIX.sub("", setting).replace("__", ":").partition(":")
        if part.lower() == service.address.lower() or (not part and _ENDPOINT.search(value)):
            yield name
