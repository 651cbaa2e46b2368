"""Shared access signatures, and what the tokens of one connection allow it to reach.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

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


class Permits:
    """What one connection may reach, by the tokens that it has put."""

    def __init__(self, key: AccessKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._ends_at: dict[str, float] = {}

    def put(self, token: str) -> None:
        """Take note of *token*, whatever its type: the Python SDK calls a signature `jwt`.

        Raises:
            Unauthenticated: no signature, or one that has ended.
        """
        path, ends_at = self._key.checked(token)
        if ends_at <= self._clock.now().timestamp():
            raise Unauthenticated("the token has expired")
        if len(self._ends_at) >= _TOKENS_MAX and path not in self._ends_at:
            raise Unauthenticated(f"a connection has at most {_TOKENS_MAX} tokens")
        self._ends_at[path] = ends_at

    def check(self, node: str) -> None:
        """Raise Unauthenticated unless a token for *node*, or what it lies in, is in force."""
        now = self._clock.now().timestamp()
        wanted = f"{node.lower()}/"
        if not any(
            ends_at > now and (not path or wanted.startswith(f"{path}/"))
            for path, ends_at in self._ends_at.items()
        ):
            raise Unauthenticated(f"no token that is in force allows {node[:160]!r}")


def path_of(address: str) -> str:
    """Return the path of an address, which may be a whole URI, in lower case."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
