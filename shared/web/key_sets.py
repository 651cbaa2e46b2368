"""The key set of one issuer: read when it is needed, kept for a while, read once for all callers.

What a set is read from (`KeySource` in `authentication`: a file, or the issuer itself) is left to
others; so is what a key is used for.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable

if TYPE_CHECKING:
    import jwt

REFRESH_LEAST_S: Final = 30.0
"""An unknown kid refreshes the key set, and a reading that failed is repeated, at most this often.
"""
KEYS_MAX_AGE_S: Final = 600.0
"""A key that was removed from the set, because it leaked, is refused after at most this time."""
KEPT_MAX_S: Final = 24 * 3600.0
"""While the issuer is away its last set is used, as long as Entra asks applications to keep one."""
FIRST_RETRY_S: Final = 1.0
"""Without a set nobody is served, so the next try comes soon; a flood of callers makes no flood."""
_KEYS_MAX: Final = 100
_RSA_LEAST_BITS: Final = 2048
"""RFC 7518, 3.3."""
_RSA_MOST_BITS: Final = 8192
"""A verification takes the square of this; no issuer has more."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeyDocument:
    """JSON that should be a JWKS (RFC 7517), and for how many seconds it may be used."""

    jwks: object
    max_age_s: float = KEYS_MAX_AGE_S


class KeySet:
    """The keys of one issuer, by kid; *read* reads them anew."""

    def __init__(self, read: Callable[[], Awaitable[KeyDocument]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at_s = -math.inf
        self._max_age_s = 0.0
        self._tried_at_s = -math.inf
        self._problem: str | None = None
        """Why the last reading failed."""
        self._reading: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> "jwt.PyJWK | None":
        """Return the key *kid*; None where the set has none.

        Raises:
            Unavailable: there is no set, or none that may be used any longer.
            Unauthenticated: there is no issuer yet.
        """
        is_usable = kid in self._keys and self._age_s() < KEPT_MAX_S
        is_due = kid not in self._keys or self._age_s() >= self._max_age_s
        if is_due and (self._reading is not None or self._may_read()):
            reading = self._share_reading()
            # While the issuer is away nobody waits for it who can be served without.
            if not is_usable or self._problem is None:
                await asyncio.shield(reading)
        if self._age_s() >= KEPT_MAX_S:
            raise Unavailable(
                self._problem or "the keys of the issuer are being read",
                retry_after_s=FIRST_RETRY_S,
            )
        return self._keys.get(kid)

    def _age_s(self) -> float:
        return self._clock.monotonic_s() - self._read_at_s

    def _may_read(self) -> bool:
        least_s = FIRST_RETRY_S if self._age_s() >= KEPT_MAX_S else REFRESH_LEAST_S
        return self._clock.monotonic_s() - self._tried_at_s >= least_s

    def _share_reading(self) -> asyncio.Task[None]:
        """Return the reading that is on its way, or begin one: a task, as callers may be ended."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_anew())
            # Asked for here, as it may be that nobody waits for it.
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._reading

    async def _read_anew(self) -> None:
        try:
            document = await self._read()
            keys = _usable(document.jwks)
        except Unavailable as problem:
            self._tried_at_s = self._clock.monotonic_s()
            self._problem = problem.message
            _log.warning("the key set stays as it was: %s", problem.message)
        else:
            self._keys, self._problem = keys, None
            self._max_age_s = min(max(document.max_age_s, REFRESH_LEAST_S), KEYS_MAX_AGE_S)
            self._tried_at_s = self._read_at_s = self._clock.monotonic_s()
        finally:
            self._reading = None


def _usable(jwks: object) -> "dict[str, jwt.PyJWK]":
    """Return the keys that have an id and are for signatures; others are ignored (RFC 7517, 5).

    Raises:
        Unavailable: there is none.
    """
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    keys = [_key(entry) for entry in listed[:_KEYS_MAX]] if isinstance(listed, list) else []
    usable = {str(key.key_id): key for key in keys if key is not None}
    if not usable:
        raise Unavailable(
            "the key set is not a JWKS with a usable key: restore it; locally, `runtimectl login"
            " --dev` makes a new one"
        )
    return usable


def _key(entry: object) -> "jwt.PyJWK | None":
    import jwt  # noqa: PLC0415  heavy: where used
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(entry)
    except (
        jwt.PyJWTError, AttributeError, LookupError, TypeError, ValueError, UnsupportedAlgorithm
    ):  # fmt: skip
        # The library takes a key's members as they come: one without its number is a KeyError.
        return None
    is_named = isinstance(key.key_id, str) and key.key_id
    return key if is_named and _is_sound(key.key) else None


def _is_sound(number: object) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415  heavy: where used
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415

    if isinstance(number, RSAPublicKey):
        return _RSA_LEAST_BITS <= number.key_size <= _RSA_MOST_BITS
    return isinstance(number, EllipticCurvePublicKey)
