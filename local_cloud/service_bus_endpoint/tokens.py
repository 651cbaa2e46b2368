"""Tokens of the namespace's key and of identities, and what those of one connection allow.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

import base64
import hashlib
import hmac
import math
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from local_cloud.service_bus_endpoint.authorization import Authorization, Right
from shared.kernel.clock import Clock
from shared.kernel.errors import Unauthenticated

_PREFIX: Final = "SharedAccessSignature "
_FIELDS: Final = ("sr", "sig", "se", "skn")
_TOKENS_MAX: Final = 1000
_WHY: Final = "the token does not allow it"


@dataclass(frozen=True)
class AccessKey:
    """The one key of the namespace."""

    name: str
    key: str = field(repr=False)

    def checked(self, token: str) -> tuple[str, float]:
        """Return the path that *token* is for, and the epoch second at which it ends.

        Raises:
            Unauthenticated: no signature of this key, whatever is wrong with it.
        """
        fields = parse_qs(token.removeprefix(_PREFIX), max_num_fields=len(_FIELDS))
        if not token.startswith(_PREFIX) or set(fields) != set(_FIELDS):
            raise Unauthenticated(_WHY)
        resource, signature, ends, name = (fields[each][0] for each in _FIELDS)
        signed = token.partition("sr=")[2].partition("&")[0] + "\n" + ends
        expected = base64.b64encode(
            hmac.digest(self.key.encode(), signed.encode(), hashlib.sha256)
        ).decode()
        is_signed = hmac.compare_digest(signature.encode(), expected.encode())
        if not is_signed or name != self.name or not ends.isdecimal():
            raise Unauthenticated(_WHY)
        return path_of(resource), float(ends)


@dataclass(frozen=True)
class _Grant:
    ends_at: float
    identity: str | None
    """None: of the namespace's key, which has every right."""


class Grants:
    """What one connection may reach, by the tokens that it has put."""

    def __init__(
        self, key: AccessKey | None, authorization: Authorization | None, clock: Clock
    ) -> None:
        """Without *key* no signature is taken, without *authorization* no token of an identity."""
        self._key = key
        self._authorization = authorization
        self._clock = clock
        self._grants: dict[str, _Grant] = {}

    async def put(self, token: str, name: str) -> float:
        """Take note of *token* for what *name* addresses; return the epoch second when it ends.

        Its type is not asked for: the Python SDK calls a signature `jwt`.

        Raises:
            Unauthenticated: it proves nothing, or has ended.
            Unavailable: the keys that tokens are signed with cannot be read.
        """
        path, grant = await self._read(token, name)
        if grant.ends_at <= self._clock.now().timestamp():
            raise Unauthenticated("the token has expired")
        if len(self._grants) >= _TOKENS_MAX and path not in self._grants:
            raise Unauthenticated(f"a connection has at most {_TOKENS_MAX} tokens")
        self._grants[path] = grant
        return grant.ends_at

    async def _read(self, token: str, name: str) -> tuple[str, _Grant]:
        if token.startswith(_PREFIX) and self._key is not None:
            path, ends_at = self._key.checked(token)
            return path, _Grant(ends_at, None)
        if token.startswith(_PREFIX) or self._authorization is None:
            raise Unauthenticated(_WHY)
        identity, ends_at = await self._authorization.identify(token)
        return path_of(name), _Grant(ends_at, identity)

    def check(self, node: str, *rights: Right) -> None:
        """Raise Unauthenticated unless a token in force gives one of *rights* at *node*."""
        now = self._clock.now().timestamp()
        wanted = f"{node.lower()}/"
        reaching = [
            grant
            for path, grant in self._grants.items()
            if grant.ends_at > now and (not path or wanted.startswith(f"{path}/"))
        ]
        if not reaching:
            raise Unauthenticated(f"no token that is in force allows {node[:160]!r}")
        if not any(self._has(grant, right, node) for grant in reaching for right in rights):
            claims = " or ".join(f"'{right}'" for right in rights)
            raise Unauthenticated(
                f"Unauthorized access. {claims} claim(s) are required to perform this operation."
                f" Resource: {node[:160]!r}"
            )

    def _has(self, grant: _Grant, right: Right, node: str) -> bool:
        if grant.identity is None:
            return True
        assert self._authorization is not None
        return self._authorization.allows(grant.identity, right, node.lower())

    def next_end(self) -> float:
        """Return the epoch second at which the first token that is in force ends."""
        now = self._clock.now().timestamp()
        ends = (grant.ends_at for grant in self._grants.values())
        return min((each for each in ends if each > now), default=math.inf)


def path_of(address: str) -> str:
    """Return the path of an address, which may be a whole URI, in lower case."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
