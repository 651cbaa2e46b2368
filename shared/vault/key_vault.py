"""The SecretVault port over Azure Key Vault, by the official asynchronous SDK."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from shared.connections.trusted_transport import trusted_transport
from shared.kernel.errors import TooLarge, Unavailable
from shared.vault.key_vault_errors import translated_errors
from shared.vault.port import (
    LISTED_MAX,
    Secret,
    SecretProperties,
    SecretValue,
    check_new_version,
    checked_name,
    checked_version,
)

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.keyvault.secrets.aio import SecretClient

TIMEOUT_S: Final = 10
"""For a whole call, also for one that polls until a deletion is done."""
_LIST_TIMES: Final = 6
"""A list, with 25 entries a page, may take so many times as long."""
_RETRIES: Final[Mapping[str, Any]] = {"retry_connect": 1, "retry_read": 1, "retry_status": 0}
"""Who throttles says when to come again; the callers' own policies wait that long, we do not."""
_ONCE: Final[Mapping[str, Any]] = {"retry_total": 0}
"""For what must not be done twice, or would not be found the second time: the SDK repeats a PUT or
a DELETE whose answer was lost."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
T = TypeVar("T")


class KeyVault:
    """One vault, connected when first used. Close it when the app ends."""

    def __init__(
        self,
        vault_uri: str,
        *,
        credential: Callable[[], "AsyncTokenCredential"],
        ca_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: "Callable[[], AioHttpTransport] | None" = None,
    ) -> None:
        """*credential* is asked when first used and stays its owner's to close.

        *ca_file* has the certificate authority of a local cloud, trusted besides the machine's.
        *transport* gives the connections when first used, in place of own ones.
        """
        self._timeout_s = timeout_s
        self._uri = vault_uri
        self._credential = credential
        self._transport = transport or partial(vault_transport, ca_file, timeout_s)
        self._client: SecretClient | None = None

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
        checked_name(name)
        check_new_version(value, content_type, tags)
        async with self._called() as client:
            made = await client.set_secret(
                name,
                value.reveal(),
                content_type=content_type,
                tags=None if tags is None else dict(tags),
                expires_on=expires_at,
                enabled=enabled,
                **_ONCE,
            )
        return _properties(made.properties)

    async def get(self, name: str, version: str | None = None) -> Secret:
        checked_name(name)
        asked = None if version is None else checked_version(name, version)
        async with self._called() as client:
            secret = await client.get_secret(name, asked)
        return Secret(_properties(secret.properties), SecretValue(str(secret.value)))

    async def versions(self, name: str) -> Sequence[SecretProperties]:
        checked_name(name)
        async with self._called(_LIST_TIMES) as client:
            listed = await _bounded(client.list_properties_of_secret_versions(name))
        versions = map(_properties, listed)
        return sorted(versions, key=lambda version: version.created_at, reverse=True)

    async def names(self) -> Sequence[str]:
        async with self._called(_LIST_TIMES) as client:
            listed = await _bounded(client.list_properties_of_secrets())
        return sorted(str(properties.name) for properties in listed)

    async def set_enabled(self, name: str, version: str, *, enabled: bool) -> SecretProperties:
        checked_name(name)
        checked = checked_version(name, version)
        async with self._called() as client:
            changed = await client.update_secret_properties(name, checked, enabled=enabled)
        return _properties(changed)

    async def delete(self, name: str) -> None:
        async with self._called() as client:
            await client.delete_secret(checked_name(name), **_ONCE)

    async def recover(self, name: str) -> None:
        async with self._called() as client:
            await client.recover_deleted_secret(checked_name(name), **_ONCE)

    async def purge(self, name: str) -> None:
        async with self._called() as client:
            await client.purge_deleted_secret(checked_name(name), **_ONCE)

    async def close(self) -> None:
        """Close the connections; the vault may not be used afterwards."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _called(self, times: int = 1) -> "AsyncIterator[SecretClient]":
        """Give the client for one call of *times* the time of others, its errors translated."""
        if self._client is None:
            self._client = self._connect()
        async with translated_errors(), asyncio.timeout(times * self._timeout_s):
            yield self._client

    def _connect(self) -> "SecretClient":
        from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415  heavy: where used

        return SecretClient(
            self._uri,
            self._credential(),
            # A secret that is set twice would get two versions.
            transport=self._transport(),
            verify_challenge_resource=verifies_challenges(self._uri),
            **_RETRIES,
        )


def vault_transport(ca_file: Path | None, timeout_s: float = TIMEOUT_S) -> "AioHttpTransport":
    """Return connections to vaults. Raises Unavailable, as `trusted_transport`."""
    return trusted_transport(ca_file, connection_timeout=timeout_s, read_timeout=timeout_s)


def verifies_challenges(vault_uri: str) -> bool:
    """Return whether the vault may ask only for tokens for a domain that it is in.

    A local cloud asks for tokens for vault.azure.net, which its own name is not below; nobody but
    this machine answers at a loopback address.
    """
    host = urlsplit(vault_uri).hostname or ""
    return host not in _LOOPBACK and not host.endswith(".localhost")


async def _bounded(listed: AsyncIterable[T]) -> Sequence[T]:
    """Return all that is listed. Raises TooLarge."""
    entries: list[T] = []
    async for entry in listed:
        if len(entries) == LISTED_MAX:
            raise TooLarge(f"the vault lists more than {LISTED_MAX}")
        entries.append(entry)
    return entries


def _properties(found: Any) -> SecretProperties:
    """Return the port's form of the SDK's SecretProperties.

    Raises:
        Unavailable: the answer lacks what each version has.
    """
    if not (found.name and found.version and found.created_on and found.updated_on):
        raise Unavailable("Key Vault's answer lacks a version's name or times")
    return SecretProperties(
        found.name,
        found.version,
        found.created_on,
        found.updated_on,
        enabled=bool(found.enabled),
        expires_at=found.expires_on,
        content_type=found.content_type,
        tags=found.tags,
    )
