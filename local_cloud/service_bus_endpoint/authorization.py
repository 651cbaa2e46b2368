"""Who may send to and receive from which entity: tokens of identities, and the roles of Azure.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-managed-service-identity
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final, Protocol

from local_cloud.callers import Callers
from local_cloud.roles import SERVICE_BUS, Role

RESOURCE: Final = "https://servicebus.azure.net"
"""What tokens for every namespace of Azure's public cloud are for."""


class Right(StrEnum):
    """What a link needs, by the names that Service Bus has for claims."""

    SEND = "Send"
    LISTEN = "Listen"


_OWNER: Final = frozenset({Role.BUS_OWNER})
_ROLES: Final[Mapping[Right, Collection[Role]]] = {
    Right.SEND: _OWNER | {Role.BUS_SENDER},
    Right.LISTEN: _OWNER | {Role.BUS_RECEIVER},
}


class Authorization(Protocol):
    """Decides for the endpoint whose token it is, and what that identity may do."""

    async def identify(self, token: str) -> tuple[str, float]:
        """Return the client id of the identity of *token*, and the epoch second when it ends.

        Raises:
            Unauthenticated: it proves nothing, or is for another resource.
            Unavailable: the keys cannot be read.
        """
        ...

    def allows(self, identity: str, right: Right, path: str) -> bool:
        """Return whether *identity* has *right* at the entity *path*, in lower case."""
        ...


class RoleAuthorization:
    """Implements `Authorization` by the roles of *callers*, whose tokens are for RESOURCE."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def identify(self, token: str) -> tuple[str, float]:
        caller = await self._callers.caller(f"Bearer {token}")
        return caller.client_id, caller.ends_at

    def allows(self, identity: str, right: Right, path: str) -> bool:
        return self._callers.has_role(identity, f"{SERVICE_BUS}/{path}", _ROLES[right])
