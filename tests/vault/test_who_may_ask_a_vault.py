"""A vault answers those who prove an identity, by a token for vaults, with a role for it."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientError, ClientSession, TCPConnector
from cryptography.hazmat.primitives.asymmetric import ec

from local_cloud.key_vault_endpoint.authorization import RESOURCE
from local_cloud.token_endpoint.identities import TENANT
from shared.kernel.errors import Unavailable
from shared.vault.key_vault import KeyVault, verifies_challenges
from shared.vault.port import SecretValue
from tests.kit.key_vault import (
    OFFICER,
    READER,
    STRANGER,
    USER,
    VaultWire,
    trusting,
    wired_vault,
)
from tests.kit.stores import HandClock

pytestmark = pytest.mark.real
VALUE = SecretValue("s3cret")


async def status_of(wire: VaultWire, token: str | None) -> tuple[int, str | None]:
    """Return the answer to a list with *token*, and its challenge."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connector = TCPConnector(ssl=trusting(wire.certificates))
    async with (
        ClientSession(wire.endpoint.url, connector=connector, headers=headers) as http,
        http.get("/secrets", params={"api-version": "2025-07-01"}) as response,
    ):
        return response.status, response.headers.get("WWW-Authenticate")


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.fixture
def good(wire: VaultWire) -> str:
    return wire.identities.token(wire.identities.get(OFFICER), RESOURCE)[0]


async def test_a_good_token_is_answered(wire: VaultWire, good: str) -> None:
    assert await status_of(wire, good) == (200, None)


async def test_without_a_token_the_answer_says_where_to_get_one(wire: VaultWire) -> None:
    status, challenge = await status_of(wire, None)

    assert (status, challenge) == (
        401,
        f'Bearer authorization="https://login.local/{TENANT}", resource="https://vault.azure.net"',
    )


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"aud": "https://storage.azure.com"}, id="for-storage"),
        pytest.param({"aud": [RESOURCE, "https://storage.azure.com"]}, id="for-several"),
        pytest.param({"iss": "https://evil.example"}, id="of-another-issuer"),
        pytest.param({"tid": "another"}, id="of-another-directory"),
        pytest.param({"exp": 1_700_000_000}, id="expired"),
    ],
)
async def test_a_token_that_proves_something_else_is_refused(
    wire: VaultWire, good: str, changed: dict[str, Any]
) -> None:
    token = wire.identities.signing_key.sign(claims_of(good) | changed)

    status, challenge = await status_of(wire, token)

    assert (status, challenge is not None) == (401, True)


async def test_a_token_of_another_key_is_refused(wire: VaultWire, good: str) -> None:
    kid = jwt.get_unverified_header(good)["kid"]
    key = ec.generate_private_key(ec.SECP256R1())
    forged = jwt.encode(claims_of(good), key, algorithm="ES256", headers={"kid": kid})
    unsigned = jwt.encode(claims_of(good), None, algorithm="none", headers={"kid": kid})

    assert [(await status_of(wire, token))[0] for token in (forged, unsigned)] == [401, 401]


@pytest.mark.parametrize(
    ("identity", "lists", "reads", "writes"),
    [
        (OFFICER, True, True, True),
        (USER, True, True, False),
        (READER, True, False, False),
        (STRANGER, False, False, False),
    ],
)
async def test_a_role_allows_what_azures_role_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    identity: str,
    lists: bool,  # noqa: FBT001  columns of a table
    reads: bool,  # noqa: FBT001
    writes: bool,  # noqa: FBT001
) -> None:
    async with wired_vault(tmp_path, HandClock(), monkeypatch, identity) as wire:
        await wire.vault.set("s", VALUE)
        calls = {
            "lists": wire.client.versions("s"),
            "reads": wire.client.get("s"),
            "writes": wire.client.set("s", VALUE),
        }
        allowed = {}
        for name, call in calls.items():
            try:
                await call
                allowed[name] = True
            except Unavailable as refused:
                allowed[name] = "403 ForbiddenByRbac" not in refused.message

    assert allowed == {"lists": lists, "reads": reads, "writes": writes}


async def test_the_default_credential_is_the_managed_identity(wire: VaultWire) -> None:
    from azure.identity.aio import DefaultAzureCredential

    async with DefaultAzureCredential() as credential:
        client = KeyVault(
            wire.endpoint.url,
            credential=lambda: credential,
            ca_file=wire.certificates.ca_file,
        )
        await client.set("s", VALUE)
        await client.close()

    assert (await wire.vault.get("s")).value == VALUE


async def test_the_synchronous_client_and_its_credential_work_too(wire: VaultWire) -> None:
    def work() -> str | None:
        from azure.identity import ManagedIdentityCredential
        from azure.keyvault.secrets import SecretClient

        with (
            ManagedIdentityCredential() as credential,
            SecretClient(
                wire.endpoint.url,
                credential,
                connection_verify=str(wire.certificates.ca_file),
                verify_challenge_resource=False,
            ) as client,
        ):
            client.set_secret("s", VALUE.reveal())
            client.begin_delete_secret("s").wait()
            client.begin_recover_deleted_secret("s").wait()
            return client.get_secret("s").value

    assert await asyncio.to_thread(work) == VALUE.reveal()


async def test_an_app_without_an_identity_is_told_so(
    wire: VaultWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "of-nobody")
    from azure.identity.aio import ManagedIdentityCredential

    async with ManagedIdentityCredential() as credential:
        client = KeyVault(
            wire.endpoint.url,
            credential=lambda: credential,
            ca_file=wire.certificates.ca_file,
        )
        with pytest.raises(Unavailable, match="identity got no token"):
            await client.names()
        await client.close()


async def test_a_server_that_nobody_vouches_for_gets_no_token(wire: VaultWire) -> None:
    def asked() -> Any:
        from azure.identity.aio import ManagedIdentityCredential

        return ManagedIdentityCredential()

    client = KeyVault(wire.endpoint.url, credential=asked)

    with pytest.raises(Unavailable, match="cannot be reached"):
        await client.names()

    await client.close()
    assert wire.endpoint.faults.seen == 0


@pytest.mark.parametrize(
    ("vault_uri", "is_verified"),
    [
        ("https://acme.vault.azure.net", True),
        ("https://localhost.evil.example", True),
        ("https://127.0.0.1.evil.example:8443", True),
        ("https://localhost@evil.example", True),
        ("https://localhost:8443", False),
        ("https://127.0.0.1:8443/", False),
    ],
)
def test_only_this_machine_may_ask_for_tokens_for_another_name(
    vault_uri: str,
    is_verified: bool,  # noqa: FBT001  a column of a table
) -> None:
    assert verifies_challenges(vault_uri) is is_verified


async def test_nothing_is_served_in_the_clear(wire: VaultWire) -> None:
    port = wire.endpoint.url.rsplit(":", 1)[1]
    async with ClientSession() as http:
        with pytest.raises(ClientError):
            await http.get(f"http://127.0.0.1:{port}/secrets")


async def test_the_certificate_is_for_the_loopback_address_too(wire: VaultWire, good: str) -> None:
    port = wire.endpoint.url.rsplit(":", 1)[1]
    context = trusting(wire.certificates)
    assert context.verify_mode is ssl.CERT_REQUIRED
    headers = {"Authorization": f"Bearer {good}"}
    async with ClientSession(connector=TCPConnector(ssl=context), headers=headers) as http:
        url = f"https://127.0.0.1:{port}/secrets"
        async with http.get(url, params={"api-version": "7.4"}) as response:
            assert response.status == 200


async def test_a_role_at_the_platforms_vault_is_none_at_those_of_environments(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wired_vault(tmp_path, clock, monkeypatch, USER) as wire:
        assert list(await wire.client.names()) == []
        with pytest.raises(Unavailable, match="answered 403 ForbiddenByRbac"):
            await wire.vaults.at("https://k7shop.vault.localhost").names()
