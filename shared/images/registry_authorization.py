"""What a registry is told of who asks: nothing, a password, or a token, kept until it expires.

Bearer tokens: https://distribution.github.io/distribution/spec/auth/token/. Azure Container
Registry by identity: the token of Entra ID is exchanged at `/oauth2/exchange` for a refresh token,
that at `/oauth2/token` for an access token of one repository:
https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from pydantic_core import from_json

from shared.connections.retry_after import retry_after_s
from shared.images.port import ImageDenied
from shared.images.registries import IDENTITY, Password, Registries
from shared.images.registry_challenges import Challenge, checked_realm, read_challenges
from shared.images.registry_connection import RegistryConnection, origin_of
from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.foreign_numbers import finite_number

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

AZURE_SCOPE: Final = "https://containerregistry.azure.net/.default"
TOKEN_ANSWER_MAX: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[!-~]{1,16384}")
TOKENS_MAX: Final = 500
"""Kept at once; then all are asked for anew."""
_LEAST_S: Final = 60.0
"""How long a token is valid that does not say so, by the specification."""
_MOST_S: Final = 3600.0
_SLACK_S: Final = 15.0
"""A token is not used for the last seconds: its registry's clock may be ahead."""
_OK: Final = 200
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = 429
_DEFECT: Final = 500


@dataclass(frozen=True)
class _Kept:
    value: str
    until_s: float


@dataclass(frozen=True)
class RegistryAuthorization:
    """Finds the `Authorization` of requests; *identity* gives the credential of the app."""

    connection: RegistryConnection
    registries: Registries
    clock: Clock
    identity: "Callable[[], AsyncTokenCredential] | None" = None
    _kept: dict[tuple[str, str], _Kept] = field(default_factory=dict, repr=False)

    def known(self, registry: str, scope: str) -> str | None:
        """Return the header for *scope* that was given before and has not expired."""
        kept = self._kept.get((registry, scope))
        if kept is None or kept.until_s <= self.clock.monotonic_s():
            return None
        return kept.value

    def forget(self, registry: str, scope: str) -> None:
        """Use no more what was given for *scope*: the registry has refused it."""
        self._kept.pop((registry, scope), None)

    async def answer(self, registry: str, scope: str, challenges: Sequence[str]) -> str | None:
        """Return the header that answers *challenges*; None where there is nothing to say.

        Raises:
            ImageDenied: the credentials are refused where tokens are had.
            Unavailable: no token could be had now.
        """
        credential = self.registries.credential(registry)
        for challenge in read_challenges(challenges):
            if challenge.scheme == "bearer":
                return await self._bearer(registry, scope, challenge)
            if challenge.scheme == "basic" and isinstance(credential, Password):
                return self._keep(registry, scope, _basic(credential), _MOST_S)
        return None

    async def _bearer(self, registry: str, scope: str, challenge: Challenge) -> str:
        if self.registries.credential(registry) == IDENTITY:
            token, for_s = await self._azure_token(registry, scope)
        else:
            token, for_s = await self._token(registry, scope, challenge)
        return self._keep(registry, scope, f"Bearer {token}", for_s)

    def _keep(self, registry: str, scope: str, value: str, for_s: float) -> str:
        if len(self._kept) >= TOKENS_MAX:
            self._kept.clear()
        until_s = self.clock.monotonic_s() + min(max(for_s, _LEAST_S), _MOST_S) - _SLACK_S
        self._kept[registry, scope] = _Kept(value, until_s)
        return value

    async def _token(self, registry: str, scope: str, challenge: Challenge) -> tuple[str, float]:
        """Return a token of the realm of *challenge*, and for how many seconds it is valid."""
        realm = checked_realm(challenge, registry)
        service = challenge.parameters.get("service")
        asked = {"scope": scope, **({"service": service} if service else {})}
        credential = self.registries.credential(registry)
        headers = {}
        if isinstance(credential, Password):
            headers["Authorization"] = _basic(credential)
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked)}"
        answer = await self._ask(registry, "GET", url, headers=headers)
        expires, token = answer.get("expires_in"), answer.get("token", answer.get("access_token"))
        for_s = finite_number(expires)
        return _checked(token, registry), _LEAST_S if for_s is None else for_s

    async def _azure_token(self, registry: str, scope: str) -> tuple[str, float]:
        """Return an access token of an Azure registry for the app's identity.

        What is sent goes to the registry itself, whatever realm it names.
        """
        kept = self.known(registry, "")
        if kept is not None:
            try:
                return await self._access_token(registry, scope, kept)
            except ImageDenied:  # as by a registry that was deleted and made again
                self.forget(registry, "")
        return await self._access_token(registry, scope, await self._refresh_token(registry))

    async def _refresh_token(self, registry: str) -> str:
        form = {
            "grant_type": "access_token",
            "service": registry,
            "access_token": await self._entra_token(registry),
        }
        url = f"{origin_of(registry)}/oauth2/exchange"
        answer = await self._ask(registry, "POST", url, form=form)
        refresh = _checked(answer.get("refresh_token"), registry)
        self._keep(registry, "", refresh, self._left_s(refresh))
        return refresh

    async def _access_token(self, registry: str, scope: str, refresh: str) -> tuple[str, float]:
        form = {
            "grant_type": "refresh_token",
            "service": registry,
            "scope": scope,
            "refresh_token": refresh,
        }
        url = f"{origin_of(registry)}/oauth2/token"
        answer = await self._ask(registry, "POST", url, form=form)
        token = _checked(answer.get("access_token"), registry)
        return token, self._left_s(token)

    async def _entra_token(self, registry: str) -> str:
        from azure.core.exceptions import AzureError  # noqa: PLC0415  heavy: where used

        if self.identity is None:
            raise Unavailable(f"{registry} is asked as the app's identity, and there is none here")
        try:
            return (await self.identity().get_token(AZURE_SCOPE)).token
        except (AzureError, OSError, TimeoutError) as problem:
            # No cause: an answer that cannot be read stands whole in the SDK's error.
            raise Unavailable(
                f"the app's identity got no token for {registry} ({type(problem).__name__};"
                " azure.identity logs why)"
            ) from None

    def _left_s(self, token: str) -> float:
        """Return for how many seconds *token*, a JWT, is valid; it is not verified, only kept."""
        try:
            part = token.split(".")[1]
            expires = from_json(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"]
        except (IndexError, KeyError, TypeError, ValueError):
            return _LEAST_S
        expires_s = finite_number(expires)
        return _LEAST_S if expires_s is None else expires_s - self.clock.now().timestamp()

    async def _ask(
        self,
        registry: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Return the JSON object at *url*. Raises ImageDenied, Unavailable."""
        body = urlencode(form).encode() if form is not None else None
        typed = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        answer = await self.connection.exchange(
            method,
            url,
            registry,
            headers={"Accept": "application/json", **typed, **(headers or {})},
            body=body,
            at_most=TOKEN_ANSWER_MAX,
        )
        if answer.status == _OK:
            try:
                found = from_json(answer.body)
            except ValueError:  # it may have a token in it
                found = None
            if isinstance(found, dict):
                return found
            raise Unavailable(f"{registry} gave a token that cannot be read")
        if _BAD_REQUEST <= answer.status < _DEFECT and answer.status != _TOO_MANY:
            raise ImageDenied(
                f"the registry {registry} gives no token for what was asked: its answer is"
                f" {answer.status}; RUNTIME_REGISTRIES has its credentials"
            )
        raise Unavailable(
            f"the registry {registry} gives no token now: its answer is {answer.status}",
            retry_after_s=retry_after_s(answer.headers.get("retry-after"), 5.0),
            throttled=answer.status == _TOO_MANY,
        )


def _basic(credential: Password) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _checked(token: object, registry: str) -> str:
    """Return *token* where it can be sent in a header."""
    if isinstance(token, str) and _TOKEN.fullmatch(token):
        return token
    raise Unavailable(f"{registry} gave a token that cannot be read")
