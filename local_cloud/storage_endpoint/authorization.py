"""Who may do what in a storage account, beside the holders of its key."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from local_cloud.callers import Callers
from local_cloud.roles import BLOBS, TABLES, Role
from local_cloud.storage_endpoint.requests import ServiceName
from local_cloud.token_endpoint.identities import ISSUER

RESOURCE: Final = "https://storage.azure.com"
"""What tokens for every storage account of Azure's public cloud are for."""
_SCOPES: Final[Mapping[ServiceName, str]] = {"blob": BLOBS, "table": TABLES}
_WRITES: Final[Mapping[ServiceName, Collection[Role]]] = {
    "blob": frozenset({Role.BLOB_CONTRIBUTOR}),
    "table": frozenset({Role.TABLE_CONTRIBUTOR}),
}
_READS: Final[Mapping[ServiceName, Collection[Role]]] = {
    "blob": frozenset({Role.BLOB_CONTRIBUTOR, Role.BLOB_READER}),
    "table": frozenset({Role.TABLE_CONTRIBUTOR, Role.TABLE_READER}),
}


@dataclass(frozen=True)
class Access:
    """The access that a request needs, before anything of its body is read."""

    service: ServiceName
    resource: str | None
    """The container or table; None for the account, and for a transaction until it is read."""
    writes: bool


class Authorization(Protocol):
    """Judges bearer tokens; their audience is `https://storage.azure.com`."""

    @property
    def challenge(self) -> str:
        """What `WWW-Authenticate` says to a request without a token: where to get one."""
        ...

    async def check(self, authorization: str, access: Access) -> None:
        """Refuse a request with the header *authorization* that may not have *access*.

        Raises:
            Unauthenticated: the token proves nothing.
            Denied: its identity has no role for this.
            Unavailable: the keys of its issuer cannot be read.
        """
        ...


class RoleAuthorization:
    """Implements `Authorization` by the roles of *callers*, whose tokens are for RESOURCE."""

    challenge = f"Bearer authorization_uri={ISSUER}oauth2/authorize resource_id={RESOURCE}"

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def check(self, authorization: str, access: Access) -> None:
        caller = await self._callers.caller(authorization)
        scope = _SCOPES[access.service]
        if access.resource is None and access.writes and access.service == "table":
            return  # what it names is judged when it was read
        resource = scope if access.resource is None else f"{scope}/{access.resource}"
        allowed = _WRITES if access.writes else _READS
        self._callers.check(caller, resource, allowed[access.service])
