"""The real azure.identity credentials get tokens on one machine, as in App Service."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession

from local_cloud.token_endpoint.identities import ISSUER, TENANT, LocalIdentities
from local_cloud.token_endpoint.server import TokenEndpoint
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy

pytestmark = pytest.mark.real
VAULTS = "https://vault.azure.net"
ASKED = {"api-version": "2019-08-01", "resource": VAULTS}


@pytest.fixture
def identities(tmp_path: Path) -> LocalIdentities:
    return LocalIdentities(tmp_path / "identities", SystemClock(), SystemEntropy())


@pytest.fixture
async def tokens(identities: LocalIdentities) -> AsyncIterator[TokenEndpoint]:
    endpoint = TokenEndpoint(identities, ["deployments", "health"], 0)
    await endpoint.start()
    yield endpoint
    await endpoint.stop()


def verified(identities: LocalIdentities, token: str, audience: str) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_json(identities.signing_key.key_set.read_text())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["ES256"], audience=audience, issuer=ISSUER
    )
    return claims


@pytest.mark.parametrize("name", ["ManagedIdentityCredential", "DefaultAzureCredential"])
@pytest.mark.parametrize(
    "resource",
    [VAULTS, "https://servicebus.azure.net", "6dae42f8-4368-4678-94ff-3960e28e3630"],
    ids=["vaults", "service-bus", "an-application"],
)
async def test_a_credential_gets_a_token_for_what_it_asks(
    tokens: TokenEndpoint,
    identities: LocalIdentities,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    resource: str,
) -> None:
    from azure.identity import aio

    for variable, value in tokens.environ_of("deployments").items():
        monkeypatch.setenv(variable, value)

    async with getattr(aio, name)() as credential:
        token = await credential.get_token(f"{resource}/.default")

    claims = verified(identities, token.token, resource)
    own = identities.get("deployments").client_id
    assert (claims["appid"], claims["oid"], claims["sub"]) == (own, own, own)
    assert (claims["tid"], claims["exp"]) == (TENANT, token.expires_on)


async def test_a_user_assigned_identity_is_asked_for_by_its_client_id(
    tokens: TokenEndpoint, identities: LocalIdentities, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity.aio import ManagedIdentityCredential

    for variable, value in tokens.environ_of("deployments").items():
        monkeypatch.setenv(variable, value)
    own, other = (identities.get(name).client_id for name in ("deployments", "health"))

    async with ManagedIdentityCredential(client_id=own) as credential:
        assert (await credential.get_token(f"{VAULTS}/.default")).token
    async with ManagedIdentityCredential(client_id=other) as credential:
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token(f"{VAULTS}/.default")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({}, 200, id="as-it-is"),
        pytest.param({"api-version": "2017-09-01"}, 400, id="another-version"),
        pytest.param({"resource": ""}, 400, id="no-resource"),
        pytest.param({"resource": "https://a\nb"}, 400, id="no-uri"),
        pytest.param({"resource": "https://" + "a" * 300}, 400, id="a-long-uri"),
    ],
)
async def test_a_bad_question_is_refused(
    tokens: TokenEndpoint, identities: LocalIdentities, changed: dict[str, str], status: int
) -> None:
    headers = {"X-IDENTITY-HEADER": identities.get("health").header}

    async with (
        ClientSession(headers=headers) as http,
        http.get(tokens.url, params=ASKED | changed) as response,
    ):
        assert response.status == status


@pytest.mark.parametrize("shown", ["absent", "wrong", "not-served"])
async def test_only_a_process_with_a_header_gets_a_token(
    tokens: TokenEndpoint, identities: LocalIdentities, shown: str
) -> None:
    header = identities.get("tenants").header if shown == "not-served" else "wrong"
    headers = {} if shown == "absent" else {"X-IDENTITY-HEADER": header}

    async with (
        ClientSession(headers=headers) as http,
        http.get(tokens.url, params=ASKED) as response,
    ):
        assert response.status == 401
        assert "access_token" not in await response.text()


def test_an_identity_is_the_same_after_a_restart(
    identities: LocalIdentities, tmp_path: Path
) -> None:
    again = LocalIdentities(identities.folder, SystemClock(), SystemEntropy())
    elsewhere = LocalIdentities(tmp_path / "elsewhere", SystemClock(), SystemEntropy())
    first = identities.get("health")

    assert again.get("health") == first
    assert elsewhere.get("health").header != first.header
    assert identities.get("deployments").header != first.header
    assert first.header not in repr(first)
