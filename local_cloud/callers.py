"""Who calls an endpoint of the local cloud, by a bearer token, and which roles that caller has."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import jwt

from local_cloud.roles import Assignment, Role
from local_cloud.token_endpoint.identities import ISSUER, TENANT, LocalIdentities
from shared.kernel.clock import Clock
from shared.kernel.errors import Denied, Unauthenticated
from shared.web.authentication import TOKEN_MAX_BYTES, Authenticator, FileKeys


@dataclass(frozen=True)
class Caller:
    """An identity that has shown a token."""

    client_id: str
    ends_at: float
    """The epoch second at which the token ends."""


class Callers:
    """The callers of one service, whose tokens are for one of *audiences*."""

    def __init__(
        self,
        identities: LocalIdentities,
        assigned: Iterable[Assignment],
        audiences: Collection[str],
        clock: Clock,
    ) -> None:
        keys = FileKeys(identities.signing_key.key_set)
        self._authenticators = {
            audience: Authenticator(keys, [ISSUER], audience, clock) for audience in audiences
        }
        self._any = next(iter(self._authenticators.values()))
        self._assigned: dict[str, list[Assignment]] = {}
        for each in assigned:
            client_id = identities.get(each.identity).client_id
            self._assigned.setdefault(client_id, []).append(each)

    async def caller(self, authorization: str | None) -> Caller:
        """Return who shows the token of an `Authorization: Bearer …` header.

        Raises:
            Unauthenticated: no token, or one that is bad, of another directory or resource.
            Unavailable: the keys cannot be read.
        """
        authenticator = self._authenticators.get(_audience(authorization), self._any)
        claims = await authenticator.claims(authorization)
        if claims.get("tid") != TENANT:
            raise Unauthenticated("the token is of another directory")
        return Caller(str(claims.get("appid")), float(claims["exp"]))

    def has_role(self, client_id: str, resource: str, allowed: Collection[Role]) -> bool:
        """Return whether an identity has one of the roles *allowed* at *resource*."""
        assigned = self._assigned.get(client_id, ())
        return any(each.role in allowed and each.holds_at(resource) for each in assigned)

    def check(self, caller: Caller, resource: str, allowed: Collection[Role]) -> None:
        """Return where *caller* has one of the roles *allowed* at *resource*. Raises Denied."""
        if not self.has_role(caller.client_id, resource, allowed):
            names = " or ".join(sorted(allowed))
            raise Denied(f"{caller.client_id} has not the role {names} at {resource}")

    def has_any(self, caller: Caller) -> bool:
        """Return whether *caller* has a role anywhere."""
        return caller.client_id in self._assigned


def _audience(authorization: str | None) -> str:
    """Return what a token says it is for, which is still to be proved; empty where it says none."""
    token = (authorization or "").partition(" ")[2]
    if len(token) > TOKEN_MAX_BYTES:
        return ""
    try:
        audience = jwt.decode(token, options={"verify_signature": False}).get("aud")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return ""
    return audience if isinstance(audience, str) else ""
