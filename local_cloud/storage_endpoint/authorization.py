"""Who may do what in a storage account, beside the holders of its key."""

from dataclasses import dataclass
from typing import Protocol

from local_cloud.storage_endpoint.requests import ServiceName


@dataclass(frozen=True)
class Attempt:
    """What a request is about to do, before anything of its body is read."""

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

    async def check(self, authorization: str, attempt: Attempt) -> None:
        """Refuse a request with the header *authorization* that may not make *attempt*.

        Raises:
            Unauthenticated: the token proves nothing.
            Denied: its identity has no role for this.
            Unavailable: the keys of its issuer cannot be read.
        """
        ...
