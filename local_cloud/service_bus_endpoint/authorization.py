"""Who may send to and receive from which entity: tokens of identities, and the roles of Azure.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-managed-service-identity
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from local_cloud.token_endpoint.identities import ISSUER, TENANT
from shared.kernel.clock import Clock
from shared.kernel.errors import Unauthenticated
from shared.web.authentication import Authenticator, KeySource

RESOURCE: Final = "https://servicebus.azure.net"
"""What tokens for every namespace of Azure's public cloud are for."""
_AUDIENCES: Final = (RESOURCE, f"{RESOURCE}/")
"""The scope that the SDKs ask for has a slash too many, `https://servicebus.azure.net//.default`."""


class Right(StrEnum):
    """What a link needs, by the names that Service Bus has for claims."""

    SEND = "Send"
    LISTEN = "Listen"


class ServiceBusRole(StrEnum):
    """The built-in roles of the data plane."""

    DATA_OWNER = "Azure Service Bus Data Owner"
    DATA_SENDER = "Azure Service Bus Data Sender"
    DATA_RECEIVER = "Azure Service Bus Data Receiver"


_RIGHTS: Final[Mapping[ServiceBusRole, Collection[Right]]] = {
    ServiceBusRole.DATA_OWNER: frozenset(Right),
    ServiceBusRole.DATA_SENDER: frozenset({Right.SEND}),
    ServiceBusRole.DATA_RECEIVER: frozenset({Right.LISTEN}),
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


@dataclass(frozen=True)
class RoleAssignment:
    """A role at one entity and what lies in it: a topic has its subscriptions."""

    role: ServiceBusRole
    scope: str = ""
    """The path of the entity; empty: the namespace."""

    def allows(self, right: Right, path: str) -> bool:
        scope = self.scope.lower()
        is_inside = not scope or f"{path}/".startswith(f"{scope}/")
        return is_inside and right in _RIGHTS[self.role]


class RoleAuthorization:
    """Implements `Authorization` by *assignments* of roles, by the client id of an identity."""

    def __init__(
        self,
        keys: KeySource,
        assignments: Mapping[str, Collection[RoleAssignment]],
        clock: Clock,
    ) -> None:
        self._authenticators = [
            Authenticator(keys, [ISSUER], audience, clock) for audience in _AUDIENCES
        ]
        self._assignments = assignments

    async def identify(self, token: str) -> tuple[str, float]:
        claims = await self._claims(f"Bearer {token}")
        if claims.get("tid") != TENANT:
            raise Unauthenticated("the token is of another directory")
        return str(claims.get("appid")), float(claims["exp"])

    async def _claims(self, authorization: str) -> Mapping[str, Any]:
        first, second = self._authenticators
        try:
            return await first.claims(authorization)
        except Unauthenticated as refused:
            if refused.code != "WrongAudience":
                raise
        return await second.claims(authorization)

    def allows(self, identity: str, right: Right, path: str) -> bool:
        return any(
            assignment.allows(right, path) for assignment in self._assignments.get(identity, ())
        )
