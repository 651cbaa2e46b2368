"""Who may do what in a vault: a bearer token, and the roles of Azure that concern secrets.

https://learn.microsoft.com/azure/key-vault/general/rbac-guide
"""

from typing import Final

from local_cloud.callers import Callers
from local_cloud.key_vault_endpoint.errors import ErrorAnswer, VaultRefused
from local_cloud.roles import Role
from local_cloud.token_endpoint.identities import ISSUER
from shared.kernel.errors import Denied, Unauthenticated

RESOURCE: Final = "https://vault.azure.net"
"""What tokens for every vault of Azure's public cloud are for."""
_CHALLENGE: Final = f'Bearer authorization="{ISSUER.rstrip("/")}", resource="{RESOURCE}"'
_WRITES: Final = frozenset({Role.SECRETS_OFFICER})
_READS_VALUES: Final = _WRITES | {Role.SECRETS_USER}
_READS_PROPERTIES: Final = _READS_VALUES | {Role.VAULT_READER}


class VaultAuthorization:
    """Checks requests of vaults; *callers* have tokens for RESOURCE."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def check(
        self, authorization: str | None, scope: str, *, writes: bool, shows_value: bool
    ) -> None:
        """Refuse who may not at *scope*, that of a vault: 401 with the challenge, or 403.

        Raises:
            VaultRefused: the token is missing, bad or for another resource; or the role is missing.
            Unavailable: the keys cannot be read.
        """
        allowed = _WRITES if writes else _READS_VALUES if shows_value else _READS_PROPERTIES
        try:
            caller = await self._callers.caller(authorization)
            self._callers.check(caller, scope, allowed)
        except Unauthenticated as refused:
            headers = {"WWW-Authenticate": _CHALLENGE}
            message = f"AKV10000: {refused.message}"
            raise VaultRefused(
                ErrorAnswer(401, "Unauthorized", message, headers=headers)
            ) from refused
        except Denied as denied:
            message = "Caller is not authorized to perform action on resource."
            raise VaultRefused(
                ErrorAnswer(403, "Forbidden", message, "ForbiddenByRbac")
            ) from denied
