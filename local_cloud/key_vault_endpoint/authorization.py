"""Who may do what in a vault: a bearer token, and the roles of Azure that concern secrets.

https://learn.microsoft.com/azure/key-vault/general/rbac-guide
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from local_cloud.key_vault_endpoint.errors import ErrorAnswer, VaultRefused
from local_cloud.token_endpoint.identities import ISSUER, TENANT
from shared.kernel.clock import Clock
from shared.kernel.errors import Unauthenticated
from shared.web.authentication import Authenticator, KeySource

RESOURCE: Final = "https://vault.azure.net"
"""What tokens for every vault of Azure's public cloud are for."""
_CHALLENGE: Final = f'Bearer authorization="{ISSUER.rstrip("/")}", resource="{RESOURCE}"'


class VaultRole(StrEnum):
    """The built-in roles of the data plane."""

    SECRETS_OFFICER = "Key Vault Secrets Officer"
    SECRETS_USER = "Key Vault Secrets User"
    """Reads values and what versions are, and changes nothing."""
    READER = "Key Vault Reader"
    """Reads what versions are, never a value."""


class VaultAuthorization:
    """Checks requests of one vault; *roles* are by the client id of an identity."""

    def __init__(self, keys: KeySource, roles: Mapping[str, VaultRole], clock: Clock) -> None:
        self._authenticator = Authenticator(keys, [ISSUER], RESOURCE, clock)
        self._roles = roles

    async def check(self, authorization: str | None, *, writes: bool, shows_value: bool) -> None:
        """Refuse who may not: 401 with the challenge, or 403.

        Raises:
            VaultRefused: the token is missing, bad or for another resource; or the role is missing.
            Unavailable: the keys cannot be read.
        """
        try:
            client = await self._client(authorization)
        except Unauthenticated as refused:
            headers = {"WWW-Authenticate": _CHALLENGE}
            message = f"AKV10000: {refused.message}"
            raise VaultRefused(
                ErrorAnswer(401, "Unauthorized", message, headers=headers)
            ) from refused
        role = self._roles.get(client)
        if role is None or not _allows(role, writes=writes, shows_value=shows_value):
            message = "Caller is not authorized to perform action on resource."
            raise VaultRefused(ErrorAnswer(403, "Forbidden", message, "ForbiddenByRbac"))

    async def _client(self, authorization: str | None) -> str:
        """Return the client id of the identity that the token is of."""
        claims = await self._authenticator.claims(authorization)
        if claims.get("tid") != TENANT:
            raise Unauthenticated("the token is of another directory")
        return str(claims.get("appid"))


def _allows(role: VaultRole, *, writes: bool, shows_value: bool) -> bool:
    if role is VaultRole.SECRETS_OFFICER:
        return True
    return not writes and (role is VaultRole.SECRETS_USER or not shows_value)
