"""One embedded vault, which behaves as Key Vault does: the SecretVault port and what REST adds.

Source: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets and
https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview.
"""

import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from local_cloud.sqlite.database import Database
from local_cloud.vault import rows
from local_cloud.vault.cipher import VaultCipher, cipher_of, unusable_key
from local_cloud.vault.rows import Changes, StoredVersion
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import NotFound, TooLarge, Unavailable
from shared.vault.port import (
    LISTED_MAX,
    Secret,
    SecretDeleted,
    SecretDisabled,
    SecretProperties,
    SecretValue,
    check_new_version,
    checked_name,
    checked_version,
)

RECOVERABLE: Final = timedelta(days=90)
"""Key Vault's default; a vault may have 7 days at least."""
_MARK: Final = "factory-runtime vault"


@dataclass(frozen=True)
class Vaults:
    """The vaults of one machine: a file each in *folder*, and the key of all beside them."""

    folder: Path
    clock: Clock
    entropy: Entropy

    def open(self, name: str, *, recoverable: timedelta = RECOVERABLE) -> "LocalVault":
        """Return the vault *name*, made when there is none. Close it when it is no longer used.

        Raises:
            Invalid: Key Vault takes no such name.
            Unavailable: the key is lost or another, or the file cannot be read or written.
        """
        cipher = cipher_of(self.folder, checked_name(name), self.entropy)
        database = Database(self.folder / f"{name}.db")
        try:
            return LocalVault(database, cipher, self.clock, recoverable=recoverable)
        except BaseException:
            database.close()
            raise


class LocalVault:
    """The SecretVault of one database, which it owns."""

    def __init__(
        self,
        database: Database,
        cipher: VaultCipher,
        clock: Clock,
        *,
        recoverable: timedelta = RECOVERABLE,
    ) -> None:
        """Raises Unavailable when the key of *cipher* is not the one with which it was made."""
        # Once: opening waits for no other process that writes.
        if not database.read(rows.is_made):
            database.prepare(rows.SCHEMA + _mark_of(cipher))
        self.name = cipher.vault
        self.recoverable = recoverable
        self._database = database
        self._cipher = cipher
        self._clock = clock
        self._throttled: deque[float] = deque()
        _check_mark(database, cipher)

    def close(self) -> None:
        self._database.close()

    def throttle(self, times: int, retry_after_s: float) -> None:
        """Refuse the next *times* operations as Key Vault does under load."""
        self._throttled.extend([retry_after_s] * times)

    async def set(
        self,
        name: str,
        value: SecretValue,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
        enabled: bool = True,
    ) -> SecretProperties:
        attributes = Changes(enabled, expires_at, content_type=content_type, tags=tags)
        return properties_of(await self.add(name, value, attributes))

    async def add(self, name: str, value: SecretValue, attributes: Changes) -> StoredVersion:
        """Make a new version with *attributes*, enabled where they do not say. As `set`."""
        self._refuse_throttled()
        check_new_version(value, attributes.content_type, attributes.tags)
        now = self._now()
        version = self._cipher.entropy.uuid().hex
        sealed = self._cipher.seal(checked_name(name), version, value.reveal())
        made = attributes.applied(StoredVersion(name, version, now, now, sealed), now)

        def work(connection: sqlite3.Connection) -> StoredVersion:
            rows.remove_due(connection, now)
            if rows.deleted(connection, name, now) is not None:
                raise SecretDeleted(
                    f"secret {name} is deleted and recoverable: recover or purge it before its"
                    " name is used again"
                )
            rows.insert(connection, made)
            return _present(rows.live(connection, name, version), name)

        return await self._database.write(work)

    async def get(self, name: str, version: str | None = None) -> Secret:
        stored = await self.readable(name, version)
        return Secret(properties_of(stored), self.value_of(stored))

    async def readable(self, name: str, version: str | None = None) -> StoredVersion:
        """Return *version*, or the last, as it is stored. Raises NotFound, SecretDisabled."""
        self._refuse_throttled()
        checked_name(name)
        checked = None if version is None else checked_version(name, version)
        stored = _present(self._database.read(lambda db: rows.live(db, name, checked)), name)
        if not stored.enabled:
            raise SecretDisabled(f"version {stored.version} of secret {stored.name} is disabled")
        return stored

    async def versions(self, name: str) -> Sequence[SecretProperties]:
        page = await self.version_page(name, "", LISTED_MAX + 1)
        if len(page) > LISTED_MAX:
            raise TooLarge(f"secret {name} has more than {LISTED_MAX} versions")
        return tuple(map(properties_of, page))

    async def version_page(self, name: str, before: str, limit: int) -> Sequence[StoredVersion]:
        """Return at most *limit* versions, newest first, older than *before* unless that is ""."""
        self._refuse_throttled()
        checked_name(name)
        return self._database.read(lambda db: rows.version_page(db, name, before, limit))

    async def names(self) -> Sequence[str]:
        page = await self.page("", LISTED_MAX + 1)
        if len(page) > LISTED_MAX:
            raise TooLarge(f"vault {self.name} has more than {LISTED_MAX} secrets")
        return sorted(version.name for version in page)

    async def page(self, after: str, limit: int) -> Sequence[StoredVersion]:
        """Return the last version of at most *limit* secrets, by name, behind *after*."""
        self._refuse_throttled()
        return self._database.read(lambda db: rows.live_page(db, after, limit))

    async def set_enabled(self, name: str, version: str, *, enabled: bool) -> SecretProperties:
        return properties_of(await self.update(name, version, Changes(enabled=enabled)))

    async def update(self, name: str, version: str | None, changes: Changes) -> StoredVersion:
        """Change *version*, or the last, and return it. Raises NotFound, Invalid."""
        self._refuse_throttled()
        checked_name(name)
        checked = None if version is None else checked_version(name, version)
        check_new_version(SecretValue(""), changes.content_type, changes.tags)

        def work(connection: sqlite3.Connection) -> StoredVersion:
            known = _present(rows.live(connection, name, checked), name)
            rows.update(connection, changes.applied(known, self._now()))
            return _present(rows.live(connection, name, known.version), name)

        return await self._database.write(work)

    async def delete(self, name: str) -> None:
        self._refuse_throttled()
        checked_name(name)
        now = self._now()

        def work(connection: sqlite3.Connection) -> None:
            _present(rows.live(connection, name, None), name)
            rows.mark_deleted(connection, name, now, now + self.recoverable)

        await self._database.write(work)

    async def recover(self, name: str) -> None:
        await self._change_deleted(name, rows.mark_recovered)

    async def purge(self, name: str) -> None:
        await self._change_deleted(name, rows.remove)

    async def _change_deleted(self, name: str, change: rows.NameChange) -> None:
        self._refuse_throttled()
        checked_name(name)
        now = self._now()

        def work(connection: sqlite3.Connection) -> None:
            _present(rows.deleted(connection, name, now), name)
            change(connection, name)

        await self._database.write(work)

    async def deleted(self, name: str) -> StoredVersion:
        """Return the last version of a deleted secret. Raises NotFound."""
        self._refuse_throttled()
        now = self._now()
        return _present(self._database.read(lambda db: rows.deleted(db, name, now)), name)

    async def deleted_page(self, after: str, limit: int) -> Sequence[StoredVersion]:
        """Return the last version of at most *limit* deleted secrets, by name, behind *after*."""
        self._refuse_throttled()
        now = self._now()
        return self._database.read(lambda db: rows.deleted_page(db, after, limit, now))

    def value_of(self, version: StoredVersion) -> SecretValue:
        """Return the value of *version*. Raises Unavailable when it is damaged."""
        return SecretValue(self._cipher.open(version.name, version.version, version.sealed))

    def _refuse_throttled(self) -> None:
        if self._throttled:
            raise Unavailable(
                f"vault {self.name} was asked too often",
                retry_after_s=self._throttled.popleft(),
                throttled=True,
            )

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)


def properties_of(version: StoredVersion) -> SecretProperties:
    """Return what the port tells of *version*."""
    return SecretProperties(
        version.name,
        version.version,
        version.created_at,
        version.updated_at,
        enabled=version.enabled,
        expires_at=version.expires_at,
        content_type=version.content_type,
        tags=version.tags,
    )


def _present(version: StoredVersion | None, name: str) -> StoredVersion:
    if version is None:
        raise NotFound(f"the vault has no such version of secret {name}")
    return version


def _mark_of(cipher: VaultCipher) -> str:
    """Return SQL that notes the key of a new vault, by a text that only it can open."""
    sealed = cipher.seal("", "", _MARK).hex()
    return f"INSERT OR IGNORE INTO vault VALUES ('mark', x'{sealed}');"  # noqa: S608  hex digits


def _check_mark(database: Database, cipher: VaultCipher) -> None:
    sealed = database.read(lambda db: db.execute("SELECT sealed FROM vault").fetchone())[0]
    try:
        cipher.open("", "", sealed)
    except Unavailable as problem:
        raise unusable_key(cipher.vault) from problem
