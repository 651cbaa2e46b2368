"""What a local cloud that is a process of its own has outside: its files, and the ports it is told.

Whoever starts, finds or asks one knows it by these names.
"""

from collections.abc import Mapping
from typing import Final

LOCK: Final = "cloud.lock"
"""Held while it runs; it has its process id."""
LOG: Final = "cloud.log"
"""What it says, where `runtimectl` has started it."""
APP_SETTINGS: Final = "app-settings.json"
"""The settings of an app that connects by keys; written last, when the cloud is ready."""
IDENTITY_SETTINGS: Final = "identity-settings.json"
"""The settings of an app that connects by its identity, for each identity."""
ADDRESSES: Final = "addresses.json"
"""Where each service listens."""

PORTS: Final[Mapping[str, str]] = {
    "cosmos": "Cosmos DB",
    "cosmos-https": "Cosmos DB by identity",
    "service-bus": "Service Bus",
    "service-bus-tls": "Service Bus by identity",
    "blob": "Blob storage",
    "blob-https": "Blob storage by identity",
    "table": "Table storage",
    "table-https": "Table storage by identity",
    "key-vault": "Key Vault",
    "token": "tokens",
}
"""The services with a port, by the names of the options that choose it, without `-port`."""
