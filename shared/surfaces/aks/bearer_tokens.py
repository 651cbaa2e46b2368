"""The bearer tokens by which a cluster's API server knows us, each renewed in its own way."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.persistence.disk_errors import reason_of
from shared.surfaces.aks.kubeconfig import read_bounded

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_log = logging.getLogger(__name__)
AKS_SCOPE: Final = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The application that every AKS cluster with Entra integration is to Entra, as kubelogin has it.
https://azure.github.io/kubelogin/concepts/aks.html"""
_RENEWED_BEFORE_S: Final = 300.0
"""As azure-core has it: a long answer is still given to a token that was good when it was asked."""
_AT_ONCE_S: Final = 10.0
"""A token that is younger is not the reason of a refusal, so none newer is asked for."""
_FILE_S: Final = 10.0
"""A file is read again after that, as client-go does within a minute."""
_RETRY_S: Final = 15.0
"""A role assignment or a federated credential takes minutes to count."""


class BearerTokens(Protocol):
    """Gives the token of each request."""

    async def token(self) -> str:
        """Return the token for a request now. Raises Unavailable."""
        ...

    async def renewed(self, rejected: str) -> str | None:
        """Return another token after the server took *rejected* for none of its own.

        None where there is no other. Raises Unavailable.
        """
        ...


class GivenToken:
    """A token that stands in a kubeconfig, for good."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    async def renewed(self, rejected: str) -> str | None:  # noqa: ARG002  of the protocol
        return None


class TokenFile:
    """A token that somebody keeps fresh in a file, as the kubelet does for a pod."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._token = ""
        self._read_at_s = 0.0

    async def token(self) -> str:
        if not self._token or self._clock.monotonic_s() - self._read_at_s > _FILE_S:
            await self._read()
        return self._token

    async def renewed(self, rejected: str) -> str | None:
        await self._read()
        return None if self._token == rejected else self._token

    async def _read(self) -> None:
        try:
            token = (await asyncio.to_thread(read_bounded, self._path)).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as problem:
            reason = reason_of(problem) if isinstance(problem, OSError) else "it is no token"
            _log.warning("the token in %s cannot be read: %s", self._path, reason)
            raise Unavailable(f"the cluster's token file cannot be read: {reason}") from problem
        if not token or not token.isprintable() or " " in token:
            raise Unavailable("the cluster's token file has no token")
        self._token, self._read_at_s = token, self._clock.monotonic_s()


class EntraTokens:
    """Tokens of Entra ID for AKS, kept here: not every credential keeps its own."""

    def __init__(self, credential: "Callable[[], AsyncTokenCredential]", clock: Clock) -> None:
        """*credential* is asked when first used and stays its owner's to close."""
        self._credential = credential
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._ends_s = 0.0
        self._came_at_s = 0.0
        self._asks_again_at_s = 0.0

    async def token(self) -> str:
        # While one asks, the others go on with what is there.
        if self._is_due() and not (self._lock.locked() and self._counts()):
            async with self._lock:
                if self._is_due():
                    await self._ask_unless_away()
        return self._token

    async def _ask_unless_away(self) -> None:
        """Ask for a newer token; while Entra is away the one that is there counts to its end."""
        try:
            await self._ask()
        except Unavailable as away:
            if not self._counts():
                raise
            self._asks_again_at_s = self._clock.monotonic_s() + _RETRY_S
            _log.warning("the token for AKS is not renewed yet: %s", away.message)

    async def renewed(self, rejected: str) -> str | None:
        """Ask for a token that was made just now, whatever the credential keeps."""
        async with self._lock:
            age_s = self._clock.monotonic_s() - self._came_at_s
            if self._token == rejected and age_s > _AT_ONCE_S:
                now = int(self._clock.now().timestamp())
                await self._ask(claims=_made_since(now))
        return None if self._token == rejected else self._token

    def _counts(self) -> bool:
        return self._clock.now().timestamp() < self._ends_s

    def _is_due(self) -> bool:
        if self._counts() and self._clock.monotonic_s() < self._asks_again_at_s:
            return False
        return self._clock.now().timestamp() + _RENEWED_BEFORE_S > self._ends_s

    async def _ask(self, **options: Any) -> None:
        from azure.core.exceptions import AzureError  # noqa: PLC0415  heavy: where used

        try:
            token = await self._credential().get_token(AKS_SCOPE, **options)
        except AzureError as refused:
            # Not its words: they may have what the endpoint answered.
            raise Unavailable(
                "this app's identity got no token for AKS"
                f" ({type(refused).__name__}; azure.identity logs why)",
                retry_after_s=_RETRY_S,
            ) from None
        self._token, self._ends_s = token.token, float(token.expires_on)
        self._came_at_s = self._clock.monotonic_s()


def _made_since(instant_s: int) -> str:
    """Return the claims of a token that is made at *instant_s* or later.

    Credentials give none that they keep where claims are asked for; Entra takes these.
    https://learn.microsoft.com/entra/identity-platform/claims-challenge
    """
    return f'{{"access_token":{{"nbf":{{"essential":true,"value":"{instant_s}"}}}}}}'
