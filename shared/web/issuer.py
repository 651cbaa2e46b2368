"""The local issuer: a signing key of this machine, and the tokens it signs.

For development only: it is trusted because a host's settings name its key set, and its private key
never leaves the state folder (mode 0600). In Azure the settings name Entra ID instead.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.persistence.plain_files import open_lock, write_private

if TYPE_CHECKING:  # of this module an app only wants names, at a cold start too
    from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE: Final = "api://factory-runtime"
DEV_ISSUER: Final = "https://issuer.local/factory-runtime"
"""The issuer that hosts trust when their settings name none."""
TOKEN_LIFE: Final = timedelta(hours=12)


@dataclass(frozen=True)
class LocalIssuer:
    """Signs tokens with ES256; *folder* holds the key, which is made when it is first needed."""

    folder: Path
    issuer: str
    audience: str
    clock: Clock
    entropy: Entropy

    def workload_token(
        self,
        tenant: str,
        environment_id: str,
        module_id: str,
        *,
        instance: str | None = None,
        life: timedelta = TOKEN_LIFE,
    ) -> str:
        """Return a signed token by which a workload may read its own configuration, no more.

        With *instance* it may say for that one only what it has.
        """
        workload = {"environmentId": environment_id, "moduleId": module_id}
        claims = {
            "sub": f"workload {environment_id} {module_id}",
            "tenantId": tenant,
            "workload": workload if instance is None else {**workload, "instance": instance},
        }
        return self._signed(claims, life)

    def token(
        self, tenant: str, subject: str, roles: Sequence[str], *, life: timedelta = TOKEN_LIFE
    ) -> str:
        """Return a signed token for *subject* with *roles* in *tenant*."""
        claims = {
            "sub": subject,
            "preferred_username": subject,
            "tenantId": tenant,
            "roles": list(roles),
        }
        return self._signed(claims, life)

    def _signed(self, claims: Mapping[str, Any], life: timedelta) -> str:
        now = self.clock.now()
        whole = {
            "iss": self.issuer,
            "aud": self.audience,
            **claims,
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + life).timestamp()),
            "jti": str(self.entropy.uuid()),
        }
        return SigningKey(self.folder, self.entropy).sign(whole)


@dataclass(frozen=True)
class SigningKey:
    """The ES256 key in *folder*, made when it is first needed; its key set lies beside it."""

    folder: Path
    entropy: Entropy

    @property
    def key_set(self) -> Path:
        """The JWKS, which is there once something was signed."""
        return self.folder / "jwks.json"

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token with *claims*."""
        import jwt  # noqa: PLC0415  heavy: where used

        key, kid = self._key()
        return jwt.encode(dict(claims), key, algorithm="ES256", headers={"kid": kid})

    def _key(self) -> "tuple[ec.EllipticCurvePrivateKey, str]":
        private, public = self.folder / "key.pem", self.key_set
        known = _read(private, public)
        if known is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Of two that make one at the same time would be left one's key and the other's set.
            with os.fdopen(open_lock(self.folder / "lock"), "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if (known := _read(private, public)) is None:
                    self._make(private, public)
                    known = _read(private, public)
        assert known is not None, self.folder
        return known

    def _make(self, private: Path, public: Path) -> None:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  heavy: where used
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from jwt.algorithms import ECAlgorithm  # noqa: PLC0415

        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        described = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        described |= {"kid": self.entropy.uuid().hex, "use": "sig", "alg": "ES256"}
        write_private(private, pem)
        # Last: a reader that sees the key set also finds the key that belongs to it.
        write_private(public, json.dumps({"keys": [described]}).encode())


def _read(private: Path, public: Path) -> "tuple[ec.EllipticCurvePrivateKey, str] | None":
    """Return the key and its id; None where they are absent, damaged, or of two keys.

    A new pair ends the tokens of the old one, which no host would accept either.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  heavy: where used
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from jwt.algorithms import ECAlgorithm  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
        described = from_json(public.read_bytes())["keys"][0]
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            return None
        is_pair = json.loads(ECAlgorithm.to_jwk(key.public_key())).items() <= described.items()
        return (key, str(described["kid"])) if is_pair else None
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
        return None
