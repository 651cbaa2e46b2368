"""The managed identities of one machine, and the tokens that prove them."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from local_cloud.private_files import kept_secret
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.web.issuer import SigningKey

TENANT: Final = str(uuid5(NAMESPACE_URL, "https://login.local/factory-runtime"))
"""The directory of this machine; its id is not secret."""
ISSUER: Final = f"https://login.local/{TENANT}/"
TOKEN_LIFE: Final = timedelta(hours=1)
"""Azure's managed identities get a day; a short life lets every run see a renewal."""
_PORT: Final = re.compile(r":\d+$")
_SET_BACK_S: Final = 300
"""Valid that long before it was made, as Entra ID has it: a clock may be set back meanwhile."""


@dataclass(frozen=True)
class Identity:
    """One identity; `header` is what its process shows to get tokens (`IDENTITY_HEADER`)."""

    name: str
    client_id: str
    header: str = field(repr=False)


@dataclass(frozen=True)
class LocalIdentities:
    """Identities by name and the key that signs their tokens, kept in *folder*, mode 0600."""

    folder: Path
    clock: Clock
    entropy: Entropy

    @property
    def signing_key(self) -> SigningKey:
        return SigningKey(self.folder, self.entropy)

    def get(self, name: str) -> Identity:
        """Return the identity *name*, the same at each call and after a restart.

        Raises Unavailable where the key of the headers is damaged.
        """
        header = hmac.digest(
            kept_secret(self.folder / "headers.key"), name.encode(), hashlib.sha256
        )
        return Identity(name, str(uuid5(NAMESPACE_URL, ISSUER + name)), header.hex())

    def token(self, identity: Identity, resource: str) -> tuple[str, int]:
        """Return a token of *identity* for *resource*, and the epoch second when it ends."""
        now = int(self.clock.now().timestamp())
        ends = now + int(TOKEN_LIFE.total_seconds())
        claims = {
            "iss": ISSUER,
            "aud": _audience(resource),
            "sub": identity.client_id,
            "oid": identity.client_id,
            "appid": identity.client_id,
            "tid": TENANT,
            "idtyp": "app",
            "iat": now - _SET_BACK_S,
            "nbf": now - _SET_BACK_S,
            "exp": ends,
            "jti": str(self.entropy.uuid()),
        }
        return self.signing_key.sign(claims), ends


def _audience(resource: str) -> str:
    """Return what a token for *resource* is for, without a port and a slash at its end.

    The SDKs differ: for one account azure-cosmos names its host, @azure/cosmos the port too, and
    azure-servicebus its resource with a slash.
    """
    return _PORT.sub("", resource.rstrip("/"))
