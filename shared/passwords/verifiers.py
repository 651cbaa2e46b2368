"""What servers check a password by, so that none of them is ever told the password itself."""

import base64
import hashlib
import hmac
from typing import Final

from shared.kernel.entropy import Entropy

_ITERATIONS: Final = 4096
"""PostgreSQL's own number; more protects short passwords, and these are random."""
_SALT_BITS: Final = 128


def scram_verifier(password: str, entropy: Entropy) -> str:
    """Return what PostgreSQL stores for *password*, which is ASCII. Each call has another salt.

    Source: RFC 5803 and https://www.postgresql.org/docs/18/catalog-pg-authid.html
    """
    salt = entropy.bits(_SALT_BITS).to_bytes(_SALT_BITS // 8, "big")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def acl_verifier(password: str) -> str:
    """Return what Valkey stores for *password*: https://valkey.io/topics/acl/."""
    return hashlib.sha256(password.encode()).hexdigest()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
