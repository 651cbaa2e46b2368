"""The keys of the local cloud's accounts: an emulator's, or those of a state folder."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from local_cloud.private_files import kept_secret

COSMOS_PUBLISHED: Final = (
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
)
"""The key of every Cosmos DB emulator, published and no secret.
https://learn.microsoft.com/azure/cosmos-db/emulator#authentication"""
_BUS_PUBLISHED: Final = "SAS_KEY_VALUE"
"""The key of every Service Bus emulator, published and no secret.
https://learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator"""
_STORAGE_PUBLISHED: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""The key of every storage emulator, published and no secret.
https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key"""


@dataclass(frozen=True)
class AccountKeys:
    """A key for each account; those of Cosmos DB and storage are base64."""

    cosmos: str = field(default=COSMOS_PUBLISHED, repr=False)
    service_bus: str = field(default=_BUS_PUBLISHED, repr=False)
    storage: str = field(default=_STORAGE_PUBLISHED, repr=False)


def kept_keys(folder: Path) -> AccountKeys:
    """Return the keys that are made once for *folder*, from one secret in it, mode 0600.

    Workloads share the loopback of this machine: with published keys they could open the stores.
    Raises Unavailable where the secret is damaged.
    """
    secret = kept_secret(folder / "accounts.key")

    def key(account: str) -> str:
        return base64.b64encode(hmac.digest(secret, account.encode(), hashlib.sha512)).decode()

    return AccountKeys(key("cosmos"), key("service-bus"), key("storage"))
