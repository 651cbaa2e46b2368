"""The URLs of vaults: which are asked at all.

Callers name vaults, and the platform asks them with its own identity: so only hosts directly below
one suffix are asked.
"""

import re
from typing import Final

from shared.kernel.errors import Invalid, Violation

AZURE_SUFFIX: Final = "vault.azure.net"
"""Of vaults in Azure's public cloud; other clouds have their own."""
LOCAL_SUFFIX: Final = "vault.localhost"
"""Of vaults on this machine."""
NAME_OUTPUT: Final = "vault.name"
"""The output of an environment's stack that is the name of its own vault."""
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


class VaultNotAllowed(Invalid):
    """Nothing may be asked of a vault at this URL."""


class VaultMissing(Invalid):
    """The environment has no vault of its own."""


def vault_name(uri: str, suffix: str) -> str:
    """Return the name of the vault at *uri*, in lower case: its host is one label below *suffix*.

    Raises:
        VaultNotAllowed: *uri* is no such URL, or has more than scheme and host.
    """
    match = re.fullmatch(rf"https://({_LABEL})\.{re.escape(suffix)}/?", uri.lower())
    if match is None:
        expected, received = f"https://<name>.{suffix}", uri[:90]
        message = f"vaults are asked at {expected} only, got {received!r}"
        violation = Violation("VaultNotAllowed", "/vaultUri", message, expected, received)
        raise VaultNotAllowed(message, target="/vaultUri", details=[violation])
    return match[1]


def refuse_own(name: str, own: str | None) -> None:
    """Refuse the vault *own*, if there is one: it has the platform's secrets.

    Raises VaultNotAllowed.
    """
    if name == own:
        raise VaultNotAllowed(
            f"vault {name} has the platform's own secrets: name that of an environment",
            target="/vaultUri",
        )


def vault_uri(name: str, suffix: str) -> str:
    """Return the URL of the vault *name*, as `vault_name` takes it."""
    return f"https://{name}.{suffix}"
