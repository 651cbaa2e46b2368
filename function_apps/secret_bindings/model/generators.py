"""The values that generators make. Pure: the random bits are given."""

import base64
from collections.abc import Mapping
from typing import Final

from function_apps.secret_bindings.errors import GeneratorNotSupported
from shared.contracts.secret_bindings import Generator, GeneratorKind
from shared.kernel.ids import EnvironmentId
from shared.passwords.port import PasswordResource

OPERATION_TAG: Final = "operation"
ROTATION_TAG: Final = "rotation"
"""Of a version that a binding, or a rotation, made: so a repeat finds it."""
MADE_BY: Final = frozenset({OPERATION_TAG, ROTATION_TAG})
SUPPORTED: Final = frozenset(
    {
        GeneratorKind.RANDOM,
        GeneratorKind.KEY_PAIR,
        GeneratorKind.DATABASE_PASSWORD,
        GeneratorKind.WEBHOOK,
    }
)
RESOURCE: Final = "resource"
USER: Final = "user"
"""In the settings of a generator: the data resource, and how the names of its logins begin."""
URL: Final = "url"
KEY: Final = "key"
"""Of a webhook: where it is asked, and the secret of the same vault that signs the request."""
_SETTINGS: Final[Mapping[GeneratorKind, tuple[str, ...]]] = {
    GeneratorKind.DATABASE_PASSWORD: (RESOURCE, USER),
    GeneratorKind.WEBHOOK: (URL, KEY),
}
_NEEDED: Final = frozenset({RESOURCE, URL, KEY})
ED25519_BYTES: Final = 32
_BITS_OF_BYTE: Final = 8


def require_supported(generator: Generator | None) -> None:
    """Refuse a way of making versions that this installation has not.

    Raises:
        GeneratorNotSupported: see there.
    """
    if generator is None:
        return
    if generator.kind in SUPPORTED:
        _require_settings(generator)
        return
    names = ", ".join(sorted(SUPPORTED))
    raise GeneratorNotSupported(
        f"no {generator.kind} can be made here, expected one of {names}; or set versions in the"
        " vault, and bind without a generator"
    )


def _require_settings(generator: Generator) -> None:
    known = _SETTINGS.get(generator.kind, ())
    if unknown := sorted(set(generator.settings) - set(known)):
        raise GeneratorNotSupported(
            f"{generator.kind} has no settings {', '.join(unknown)}: expected "
            + (", ".join(known) or "none")
        )
    missing = [name for name in known if name in _NEEDED and name not in generator.settings]
    if missing:
        raise GeneratorNotSupported(f"settings of {generator.kind} lack {', '.join(missing)}")


def resource_of(generator: Generator | None, environment_id: str) -> PasswordResource | None:
    """Return the data resource that checks what *generator* makes; None where there is none."""
    if generator is None or generator.kind is not GeneratorKind.DATABASE_PASSWORD:
        return None
    return PasswordResource(EnvironmentId(environment_id), generator.settings[RESOURCE])


def user_of(generator: Generator) -> str:
    """Return how the names of the logins begin that *generator* makes."""
    return generator.settings.get(USER, "consumer")


def bits_of(generator: Generator) -> int:
    """Return how many random bits a value takes."""
    if generator.kind is GeneratorKind.KEY_PAIR:
        return ED25519_BYTES * _BITS_OF_BYTE
    return -(-generator.length * 6 // _BITS_OF_BYTE) * _BITS_OF_BYTE


def text_of(generator: Generator, bits: int) -> str:
    """Return a value made of *bits*: characters of base64url, or the private key in PEM.

    The public key is part of the private one; PKCS#8 of Ed25519 is RFC 8410.
    """
    drawn = bits.to_bytes(bits_of(generator) // _BITS_OF_BYTE, "big")
    if generator.kind is GeneratorKind.KEY_PAIR:
        return _pem(drawn)
    return base64.urlsafe_b64encode(drawn).decode()[: generator.length]


def _pem(seed: bytes) -> str:
    # RFC 8410, section 7: SEQUENCE { version 0, AlgorithmIdentifier { 1.3.101.112 }, seed }.
    der = bytes.fromhex("302e020100300506032b657004220420") + seed
    body = base64.b64encode(der).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
