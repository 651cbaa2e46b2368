"""Seals values of secrets with AES-256-GCM, under a key that lies in a file of this machine."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from local_cloud.private_files import kept_key
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_RETRY_AFTER_S: Final = 60.0
"""People restore a key; a second is too soon."""


@dataclass(frozen=True)
class VaultCipher:
    """Seals and opens what belongs to one vault, one secret and one version.

    A sealed value opens only where it was made for: vault, name and version are its associated
    data, so one row put in place of another is noticed.
    """

    vault: str
    key: bytes = field(repr=False)
    entropy: Entropy

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise unusable_key(self.vault)

    def seal(self, name: str, version: str, text: str) -> bytes:
        """Return *text* encrypted, behind a nonce of its own."""
        nonce = self.entropy.bits(8 * _NONCE_BYTES).to_bytes(_NONCE_BYTES, "big")
        return nonce + AESGCM(self.key).encrypt(nonce, text.encode(), self._place(name, version))

    def open(self, name: str, version: str, sealed: bytes) -> str:
        """Return the text.

        Raises:
            Unavailable: *sealed* was changed, is of another place, or of another key.
        """
        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            opened = AESGCM(self.key).decrypt(nonce, content, self._place(name, version))
        except (InvalidTag, ValueError) as problem:
            raise Unavailable(
                f"the value of secret {name}, version {version}, in vault {self.vault} is damaged:"
                " restore the vault's file",
                retry_after_s=_RETRY_AFTER_S,
            ) from problem
        return opened.decode()

    def _place(self, name: str, version: str) -> bytes:
        # No part can have the separator, so no two places are written alike.
        return f"{self.vault}\n{name.lower()}\n{version}".encode()


def cipher_of(folder: Path, vault: str, entropy: Entropy) -> VaultCipher:
    """Return the cipher of *vault* with the key of all vaults in *folder*.

    The key is made with the first vault: where there are vaults and no key, it was lost.

    Raises:
        Unavailable: the key is lost, or the file has none.
    """
    path = folder / "vault.key"
    # In this order: whoever made a vault meanwhile made the key before.
    if any(folder.glob("*.db")) and not path.exists():
        raise Unavailable(
            f"the key of the vaults is lost: restore {path}, or remove the vaults with all their"
            " secrets",
            retry_after_s=_RETRY_AFTER_S,
        )
    return VaultCipher(vault, kept_key(path), entropy)


def unusable_key(vault: str) -> Unavailable:
    """Return the error for a key that is not the one of *vault*."""
    return Unavailable(
        f"the key is not that of vault {vault}: restore vault.key, with which it was made",
        retry_after_s=_RETRY_AFTER_S,
    )
