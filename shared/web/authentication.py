"""Bearer tokens: RS256 or ES256, exact audience, issuer from a list, keys from a JWKS.

RFC 7519, RFC 8725 (best current practices). Which tenant and permissions a good token stands for is
decided in `tenancy`. There is no mode without authentication: locally
`runtimectl login --dev` signs tokens with a key of this machine.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic_core import from_json

from shared.kernel.clock import Clock
from shared.kernel.context import Scope
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Denied, Unauthenticated, Unavailable
from shared.web.key_sets import KeyDocument, KeySet
from shared.web.tenancy import Tenancy, is_delegated

if TYPE_CHECKING:  # with its cryptography it takes 35 ms to import, which a cold start is spared
    import jwt

ALGORITHMS: Final = ("RS256", "ES256")
LEEWAY_S: Final = 30
TOKEN_MAX_BYTES: Final = 16 * 1024
_TIME_MAX: Final = 253_402_300_800
"""The end of the year 9999 in epoch seconds; a later instant is no date, and may be infinite."""
_JWS: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2}")
"""RFC 7515, compact: the decoder itself skips characters that are not base64url."""
_NAME_MAX: Final = 128
_PROOFS_MAX: Final = 1000
"""Tokens that callers use over and over; a kilobyte each."""
_CODES: Final[Mapping[str, str]] = {
    "InvalidAudienceError": "WrongAudience",
    "InvalidIssuerError": "WrongIssuer",
    "InvalidSignatureError": "BadSignature",
    "MissingRequiredClaimError": "MissingClaim",
}
"""Why a token is not valid, by what the library raises; anything else is `InvalidToken`."""


class KeySource(Protocol):
    """Where signing keys come from."""

    async def keys(self, issuer: str) -> KeyDocument:
        """Return the key set of *issuer*, one of those whose tokens are taken.

        Raises:
            Unavailable: it cannot be had now.
            Unauthenticated: there is no issuer yet.
        """
        ...


@dataclass(frozen=True)
class FileKeys:
    """A JWKS in a file, as the local issuer writes it; whoever is asked for, it is this one."""

    path: Path

    async def keys(self, issuer: str) -> KeyDocument:  # noqa: ARG002  of the port
        try:
            return KeyDocument(from_json(self.path.read_bytes()))
        except FileNotFoundError as problem:
            raise Unauthenticated(
                "no issuer is known on this machine yet: run `runtimectl login --dev`",
                code="NoIssuer",
            ) from problem
        except (OSError, ValueError) as problem:
            raise Unavailable(
                f"the key set {self.path.name} cannot be read: restore it, or run"
                " `runtimectl login --dev`, which makes a new one"
            ) from problem


@dataclass(frozen=True)
class KeysByIssuer:
    """The keys of some issuers from sources of their own, of all *others* from one."""

    own: Mapping[str, KeySource]
    others: KeySource

    async def keys(self, issuer: str) -> KeyDocument:
        return await self.own.get(issuer, self.others).keys(issuer)


@dataclass(frozen=True)
class _Proof:
    """A token that was verified with *key*; whether its times still hold is asked each time."""

    key: "jwt.PyJWK"
    kid: str
    issuer: str
    claims: Mapping[str, Any]


@dataclass
class Authenticator:
    """Turns an `Authorization` header into a scope.

    A token is verified once with each key set that is read; its signature is a third of a request.
    """

    keys: KeySource
    issuers: Sequence[str]
    audience: str
    clock: Clock
    tenancy: Tenancy = field(default_factory=Tenancy)
    _key_sets: dict[str, KeySet] = field(default_factory=dict)
    """By issuer: a key of one never verifies a token of another, whatever its kid."""
    _proofs: OrderedDict[bytes, _Proof] = field(default_factory=OrderedDict)
    """By the token's digest, so that no credential is kept; the least used is forgotten first."""

    async def authenticate(self, authorization: str | None, named_tenant: str | None) -> Scope:
        """Return the scope that the token proves.

        *named_tenant* is `X-Tenant-Id`; it must agree with the token's tenant if present.

        Raises:
            Unauthenticated: no token, or one that proves nothing; `code` says which rule failed.
            Denied: the token is good but for another tenant than the one named.
            Unavailable: the keys of its issuer cannot be had.
        """
        claims = await self.claims(authorization)
        grant = self.tenancy.grant(claims)
        if named_tenant is not None and named_tenant != grant.tenant:
            raise Denied("X-Tenant-Id is not the token's tenant", code="TenantMismatch")
        return Scope(grant.tenant, _caller(claims), grant.permissions, grant.workload)

    async def claims(self, authorization: str | None) -> Mapping[str, Any]:
        """Return the claims of a good token.

        Raises:
            Unauthenticated: no token, or one that proves nothing; `code` says which rule failed.
            Unavailable: the keys of its issuer cannot be had.
        """
        return await self._verified(_bearer(authorization))

    async def _verified(self, token: str) -> Mapping[str, Any]:
        digest = hashlib.sha256(token.encode()).digest()
        proof = self._proofs.get(digest)
        if proof is None or proof.key is not await self._key(proof.issuer, proof.kid):
            proof = await self._prove(token)
        self._proofs[digest] = proof
        self._proofs.move_to_end(digest)
        if len(self._proofs) > _PROOFS_MAX:
            self._proofs.popitem(last=False)
        self._check_times(proof.claims)
        return proof.claims

    async def _prove(self, token: str) -> _Proof:
        import jwt  # noqa: PLC0415  when used

        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, RecursionError) as problem:
            raise Unauthenticated("the token is not a JWT", code="MalformedToken") from problem
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise Unauthenticated(
                f"the token is signed with {algorithm!r}; expected one of {ALGORITHMS}",
                code="AlgorithmNotAllowed",
            )
        if not isinstance(kid, str) or not kid:
            raise Unauthenticated("the token names no key (kid)", code="NoKeyId")
        issuer = self._issuer(token)
        key = await self._key(issuer, kid)
        if key.algorithm_name != algorithm:
            raise Unauthenticated(
                f"key {kid!r} is for {key.algorithm_name}, the token says {algorithm}",
                code="AlgorithmMismatch",
            )
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, RecursionError) as problem:
            raise _refusal(problem) from problem
        if claims["aud"] not in (self.audience, [self.audience]):  # a list is how Kubernetes says
            raise Unauthenticated("the token is for others too (aud)", code="WrongAudience")
        return _Proof(key, kid, issuer, claims)

    def _issuer(self, token: str) -> str:
        """Return the trusted issuer that *token* names, which its signature still has to show."""
        import jwt  # noqa: PLC0415  when used

        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, RecursionError) as problem:
            raise _refusal(problem) from problem
        issuer = claims.get("iss")
        if issuer is None:
            raise Unauthenticated("the token names no issuer (iss)", code="MissingClaim")
        if issuer not in self.issuers:
            raise Unauthenticated(f"the issuer is not trusted: {issuer!r:.200}", code="WrongIssuer")
        return str(issuer)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        """Compare with the kernel's clock: PyJWT would read the machine's own."""
        now = self.clock.now().timestamp()
        for name in ("exp", "iat", "nbf"):
            value = claims.get(name, now)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value < _TIME_MAX:  # NaN is in no range
                raise Unauthenticated(f"the token's {name} is no instant", code="MalformedToken")
        if now >= claims["exp"] + LEEWAY_S:
            raise Unauthenticated("the token has expired; log in again", code="TokenExpired")
        if claims["iat"] > now + LEEWAY_S:
            raise Unauthenticated("the token was issued in the future", code="TokenNotYetValid")
        if claims.get("nbf", now) > now + LEEWAY_S:
            raise Unauthenticated("the token is not valid yet", code="TokenNotYetValid")

    async def _key(self, issuer: str, kid: str) -> "jwt.PyJWK":
        known = self._key_sets.get(issuer)
        if known is None:
            known = KeySet(lambda: self.keys.keys(issuer), self.clock)
            self._key_sets[issuer] = known
        key = await known.key(kid)
        if key is None:
            raise Unauthenticated(f"{issuer} has no key {kid[:40]!r}", code="UnknownKey")
        return key


def _refusal(problem: Exception) -> Unauthenticated:
    code = _CODES.get(type(problem).__name__, "InvalidToken")
    return Unauthenticated(f"the token is not valid: {problem}", code=code)


def _bearer(authorization: str | None) -> str:
    if authorization is None:
        raise Unauthenticated(
            "this call needs `Authorization: Bearer <token>`; locally: `runtimectl login --dev`",
            code="NoToken",
        )
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Authorization is not `Bearer <token>`", code="MalformedToken")
    if not _JWS.fullmatch(token):
        raise Unauthenticated(
            "the token is no JWT: expected three parts of base64url with dots between them",
            code="MalformedToken",
        )
    if len(token) > TOKEN_MAX_BYTES:
        raise Unauthenticated(f"the token is over {TOKEN_MAX_BYTES} bytes", code="MalformedToken")
    return token


def _caller(claims: Mapping[str, Any]) -> str:
    """Return the caller as the audit trail shows it: one line of printable characters."""
    is_user = is_delegated(claims) or "preferred_username" in claims
    kinds = ("preferred_username", "upn", "unique_name") if is_user else ("appid", "azp")
    names = [*(claims.get(kind) for kind in kinds), claims["sub"]]
    name = next((name for name in names if isinstance(name, str) and name), "")
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:_NAME_MAX])
    return f"user:{shown}" if is_user else f"app:{shown}"
