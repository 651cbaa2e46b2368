"""The identity of an app: one credential, which the connections of its parts share.

The triggers of the embedded host share one of each identity, too.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_FEDERATED_TOKEN = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105  a name


class Identity:
    """Gives the credential of this process, made when it is first asked for.

    That is the workload identity that Kubernetes gives a pod, else the managed identity of the
    host, and nothing else: a developer's sign-in that lies about is no identity of a service.
    """

    def __init__(self, client_id: str | None, *, takes_sign_in: bool) -> None:
        """*client_id* is the user-assigned identity; None: the system-assigned one.

        With *takes_sign_in* it is whatever azure-identity finds first, a developer's sign-in too.
        """
        self._client_id = client_id
        self._takes_sign_in = takes_sign_in
        self._credential: AsyncTokenCredential | None = None

    def __call__(self) -> "AsyncTokenCredential":
        if self._credential is None:
            self._credential = self._made()
        return self._credential

    def _made(self) -> "AsyncTokenCredential":
        from azure.identity import aio  # noqa: PLC0415  heavy: where used

        if self._takes_sign_in:
            return aio.DefaultAzureCredential(managed_identity_client_id=self._client_id)
        if _FEDERATED_TOKEN in os.environ:
            return aio.WorkloadIdentityCredential(client_id=self._client_id)
        return aio.ManagedIdentityCredential(client_id=self._client_id)

    async def close(self) -> None:
        """Close the credential's connections, if it was made; the next call makes another."""
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()


class Identities:
    """The identities as which the triggers of one host connect, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str | None, bool], Identity] = {}

    def of(self, client_id: str | None, *, takes_sign_in: bool) -> Identity:
        identity = Identity(client_id, takes_sign_in=takes_sign_in)
        return self._made.setdefault((client_id, takes_sign_in), identity)

    async def close(self) -> None:
        for identity in self._made.values():
            await identity.close()
