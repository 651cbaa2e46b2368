"""An issuer of good tokens, and of every kind of bad one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from shared.web.authentication import Authenticator
from shared.web.key_sets import KeyDocument
from shared.web.tenancy import Tenancy
from tests.kit.stores import HandClock

ISSUER: Final = "https://issuer.example/v2.0"
AUDIENCE: Final = "api://factory-runtime"
EC_KEY: Final = ec.generate_private_key(ec.SECP256R1())
RSA_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_EC_KEY: Final = ec.generate_private_key(ec.SECP256R1())
RSA_PUBLIC_PEM: Final = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def jwk(key: Any, kid: str, algorithm: str) -> dict[str, Any]:
    kind = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
    described: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
    return described | {"kid": kid, "use": "sig", "alg": algorithm}


@dataclass
class ServedKeys:
    """A key set that counts how often it is asked for."""

    served: list[dict[str, Any]] = field(
        default_factory=lambda: [jwk(EC_KEY, "ec", "ES256"), jwk(RSA_KEY, "rsa", "RS256")]
    )
    asked: int = 0

    async def keys(self, issuer: str) -> KeyDocument:
        self.asked += 1
        return KeyDocument({"keys": self.served})


@dataclass
class Gate:
    """An authenticator over keys and a clock that stands still."""

    clock: HandClock = field(default_factory=HandClock)
    keys: ServedKeys = field(default_factory=ServedKeys)

    def __post_init__(self) -> None:
        self.authenticator = Authenticator(
            self.keys, [ISSUER], AUDIENCE, self.clock, Tenancy(naming={ISSUER})
        )

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return good claims with *changes*; a claim that is None is left out."""
        now = int(self.clock.now().timestamp())
        good = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ann",
            "tenantId": "acme",
            "roles": ["Runtime.Read"],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        return signed(self.claims(**changes), header)


def signed(claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
    """Sign *claims* as they are; PyJWT would refuse some of them."""
    head = {"typ": "JWT", "alg": "ES256", "kid": "ec"} | dict(header or {})
    head = {name: value for name, value in head.items() if value is not None}
    return assembled(json.dumps(head).encode(), json.dumps(claims).encode())


def assembled(head: bytes, body: bytes, key: ec.EllipticCurvePrivateKey = EC_KEY) -> str:
    signing = base64url_encode(head) + b"." + base64url_encode(body)
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    return (signing + b"." + base64url_encode(algorithm.sign(signing, key))).decode()


def with_library(claims: Mapping[str, Any], key: Any, algorithm: str, **header: Any) -> str:
    return jwt.encode(dict(claims), key, algorithm=algorithm, headers=header)
