"""Signatures of the platform as JWS (RFC 7515), by keys in its vault, and the public keys.

A key is a version of one secret, and its id the version's: what a former one signed is verified as
long as that version is enabled and among the newest. The first key is made when there is none; two
that are made at the same time are two versions, and both verify.
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import NotFound, Unavailable
from shared.vault.port import SecretDisabled, SecretValue, SecretVault

if TYPE_CHECKING:  # heavy: where used
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ALGORITHM: Final = "ES256"
KEYS_MAX: Final = 20
"""The newest versions; older ones are not looked at."""
_log = logging.getLogger(__name__)


class SignatureInvalid(ValueError):
    """The text was not signed by one of the keys, or is no signed text."""


@dataclass(frozen=True)
class SigningKeys:
    """The keys of the secret *name* in *vault*: P-256 in PEM, PKCS #8."""

    vault: SecretVault
    name: str

    async def sign(self, content: bytes, kind: str) -> str:
        """Return *content* signed by the newest key, as a compact JWS of the type *kind*.

        Raises:
            Unavailable: the vault does not answer.
            SecretDeleted: the secret is deleted: recover it, or what it signed cannot be verified.
        """
        from jwt import api_jws  # noqa: PLC0415  heavy: where used

        for _ in range(2):
            async for kid, key in self._usable():
                headers = {"kid": kid, "typ": kind}
                return api_jws.encode(content, key, algorithm=ALGORITHM, headers=headers)
            await self.vault.set(self.name, _new_key(), content_type="application/x-pem-file")
        raise Unavailable(f"the secret {self.name} has no key that can be used")

    async def key_set(self) -> Sequence[Mapping[str, str]]:
        """Return the public keys that are enabled, newest first, each as a JWK.

        Raises:
            Unavailable: the vault does not answer.
        """
        from jwt.algorithms import ECAlgorithm  # noqa: PLC0415  heavy: where used

        return [
            {
                **json.loads(ECAlgorithm.to_jwk(key.public_key())),
                "kid": kid,
                "use": "sig",
                "alg": ALGORITHM,
            }
            async for kid, key in self._usable()
        ]

    async def _usable(self) -> "AsyncIterator[tuple[str, EllipticCurvePrivateKey]]":
        """Yield the id of each enabled key with the key, newest first."""
        versions = await self.vault.versions(self.name)
        for each in [one for one in versions if one.enabled][:KEYS_MAX]:
            try:
                secret = await self.vault.get(self.name, each.version)
            except (NotFound, SecretDisabled):
                continue  # since the list
            key = _private_key(secret.value)
            if key is None:
                _log.warning("version %s of %s is no key on P-256", each.version, self.name)
            else:
                yield each.version, key


def verified(signed: str, key_set: Any) -> bytes:
    """Return what *signed* signs; *key_set* is a JWKS.

    Raises:
        SignatureInvalid: none of the keys has signed it.
    """
    import jwt  # noqa: PLC0415  heavy: where used
    from jwt import api_jws  # noqa: PLC0415

    try:
        kid = api_jws.get_unverified_header(signed).get("kid")
        entries = [each for each in key_set["keys"] if each.get("kid") == kid]
    except (jwt.PyJWTError, TypeError, LookupError, AttributeError, ValueError):
        raise SignatureInvalid("it is no signed text, or the key set is none") from None
    if not entries:
        raise SignatureInvalid(f"the key set has no key {kid!r}, by which it says it is signed")
    try:
        key = jwt.PyJWK.from_dict(entries[0], algorithm=ALGORITHM)
        content: bytes = api_jws.decode(signed, key, algorithms=[ALGORITHM])
    except (jwt.PyJWTError, TypeError, LookupError, AttributeError, ValueError) as problem:
        raise SignatureInvalid(f"the key {kid!r} has not signed it as it is: {problem}") from None
    return content


def _new_key() -> SecretValue:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  heavy: where used
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SecretValue(pem.decode())


def _private_key(value: SecretValue) -> "EllipticCurvePrivateKey | None":
    """Return the key in *value*; None where it is another one, or none."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  heavy: where used
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(value.reveal().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    is_right = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    return key if is_right else None  # type: ignore[return-value]  # isinstance in a variable
