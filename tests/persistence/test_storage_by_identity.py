"""A storage account reached over https by the identity of the process, or by a connection string.

Azurite reads Entra tokens as Azure does, but for the signature: issuer, audience, and times.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from azure.core.credentials import AccessToken

from local_cloud.certificates import LocalCertificates
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.persistence.storage_account import StorageAccount
from shared.persistence.tables import TableRow
from shared.web.issuer import SigningKey
from tests.kit.azurite import started
from tests.kit.storage_accounts import KEY, Emulator, connected, opened

ROW = TableRow("p", "1", {"n": 1})
AUDIENCE = "https://storage.azure.com"


class Credential:
    """Gives tokens as Entra ID signs them; of the lives it is given, the next one each time."""

    def __init__(self, folder: Path, *lives: timedelta) -> None:
        self.scopes: list[str] = []
        self.is_closed = False
        self._key = SigningKey(folder, SystemEntropy())
        self._lives = list(lives)

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.scopes += scopes
        now = SystemClock().now()
        ends = now + (self._lives.pop(0) if self._lives else timedelta(hours=1))
        claims = {
            "aud": AUDIENCE,
            "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000001/",
            "oid": "app",
            "tid": "tenant",
            "iat": int((now - timedelta(hours=2)).timestamp()),
            "nbf": int((now - timedelta(hours=2)).timestamp()),
            "exp": int(ends.timestamp()),
        }
        # The client believes that it holds for an hour, as when the clocks differ.
        return AccessToken(self._key.sign(claims), int((now + timedelta(hours=1)).timestamp()))

    async def close(self) -> None:
        self.is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def content() -> AsyncIterator[bytes]:
    yield b"12"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> LocalCertificates:
    made = LocalCertificates(tmp_path_factory.mktemp("certificates"), SystemClock())
    made.server_context()
    return made


@pytest.fixture(scope="module")
def entra_azurite(certificates: LocalCertificates) -> Iterator[Emulator]:
    pem = str(certificates.folder / "server.pem")
    yield from started("--oauth", "basic", "--cert", pem, "--key", pem, scheme="https")


@pytest.mark.real
async def test_tables_and_blobs_are_reached_by_one_identity(
    entra_azurite: Emulator, certificates: LocalCertificates, tmp_path: Path
) -> None:
    credential, asked = Credential(tmp_path), []
    account = StorageAccount(
        tables=entra_azurite.tables,
        blobs=entra_azurite.blobs,
        credential=lambda: asked.append(1) or credential,  # type: ignore[func-returns-value]
        ca_file=certificates.ca_file,
    )
    assert asked == []

    async with connected(account) as storage:
        await storage.table.insert([ROW])
        await storage.blobs.put("a", content())

        assert await storage.table.get("p", "1") == ROW
        assert await storage.blobs.size("a") == 2
    assert {scope.rstrip("/") for scope in credential.scopes} == {f"{AUDIENCE}/.default"}
    assert not credential.is_closed


@pytest.mark.real
async def test_a_token_that_ended_is_unavailable_and_its_account_goes_on(
    entra_azurite: Emulator, certificates: LocalCertificates, tmp_path: Path
) -> None:
    ended = Credential(tmp_path, -timedelta(hours=1), -timedelta(hours=1))
    async with connected(
        StorageAccount(
            tables=entra_azurite.tables,
            blobs=entra_azurite.blobs,
            credential=lambda: Credential(tmp_path),
            ca_file=certificates.ca_file,
        )
    ) as storage:
        late = StorageAccount(
            tables=entra_azurite.tables,
            blobs=entra_azurite.blobs,
            credential=lambda: ended,
            ca_file=certificates.ca_file,
        )
        with pytest.raises(Unavailable):
            await opened(late, storage.name).table.insert([ROW])
        with pytest.raises(Unavailable):
            await opened(late, storage.name).blobs.put("a", content())

        assert await storage.table.get("p", "1") is None
        assert await storage.blobs.size("a") is None
        await late.close()


@pytest.mark.long
@pytest.mark.real
async def test_an_account_whose_certificate_nobody_signed_gets_no_token(
    entra_azurite: Emulator, tmp_path: Path
) -> None:
    account = StorageAccount(tables=entra_azurite.tables, credential=lambda: Credential(tmp_path))

    with pytest.raises(Unavailable, match="not trusted; RUNTIME_CA_FILE"):
        await opened(account, "absent").table.get("p", "1")
    await account.close()


@pytest.mark.real
async def test_a_wrong_key_is_unavailable_and_shown_nowhere(emulator: Emulator) -> None:
    wrong = "d3Jvbmc="
    account = StorageAccount(connection_string=emulator.connection_string().replace(KEY, wrong))

    for call in (
        lambda: opened(account, "absent").table.insert([ROW]),
        lambda: opened(account, "absent").blobs.size("a"),
    ):
        with pytest.raises(Unavailable) as caught:
            await call()
        assert wrong not in f"{caught.value!r} {account!r}"
    await account.close()


@pytest.mark.parametrize("text", ["nonsense", "a=b", "AccountKey=c2VjcmV0"])
async def test_what_is_no_connection_string_is_refused_without_being_shown(text: str) -> None:
    account = StorageAccount(connection_string=text)

    for call in (
        lambda: opened(account, "absent").table.get("p", "1"),
        lambda: opened(account, "absent").blobs.size("a"),
    ):
        with pytest.raises(Unavailable) as caught:
            await call()
        assert text not in str(caught.value)
    await account.close()


async def test_the_development_account_is_named_as_azure_names_it() -> None:
    account = StorageAccount(connection_string="UseDevelopmentStorage=true;")

    table, container = await account.table("samples"), await account.container("artifacts")

    assert table.url == "http://127.0.0.1:10002/devstoreaccount1"
    assert container.url == "http://127.0.0.1:10000/devstoreaccount1/artifacts"
    await account.close()
