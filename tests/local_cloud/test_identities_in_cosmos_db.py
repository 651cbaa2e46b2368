"""Cosmos DB by https with Entra tokens: real credentials, and a role on each container."""

import ssl
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientSession
from yarl import URL

from local_cloud.token_endpoint.identities import TOKEN_LIFE
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.kernel.trust import trusting
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.store import Partition, Query, Upsert
from tests.kit.identity_cloud import IdentityCloud, identity_cloud

pytestmark = pytest.mark.real
PARTITION = Partition("acme", "shop")
DATABASE = "runtime"


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IdentityCloud]:
    async with identity_cloud(tmp_path, monkeypatch) as cloud:
        yield cloud


async def test_an_app_writes_and_follows_its_own_container(served: IdentityCloud) -> None:
    async with served.account("catalog") as account:
        store = CosmosStore(account, DATABASE, "catalog")
        await store.batch(PARTITION, [Upsert("one", {"n": 1})])
        found = await store.query(PARTITION, Query())
        ranges = await store.feed_ranges()
        changes = [await store.changes(each, None) for each in ranges]

    assert [each.body for each in found.documents] == [{"n": 1}]
    assert [each.id for page in changes for each in page.documents] == ["one"]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda store: store.read(PARTITION, "one"), id="read"),
        pytest.param(lambda store: store.query(PARTITION, Query()), id="query"),
        pytest.param(lambda store: store.batch(PARTITION, [Upsert("one", {})]), id="batch"),
        pytest.param(lambda store: store.feed_ranges(), id="metadata"),
    ],
)
async def test_a_container_of_another_app_is_unavailable(served: IdentityCloud, call: Any) -> None:
    async with served.account("health") as account:
        with pytest.raises(Unavailable, match="this app's identity has not the role") as refused:
            await call(CosmosStore(account, DATABASE, "catalog"))

    assert refused.value.retry_after_s == 15


async def test_the_operator_reads_what_it_may_not_write(served: IdentityCloud) -> None:
    async with served.account("catalog") as account:
        store = CosmosStore(account, DATABASE, "catalog")
        await store.batch(PARTITION, [Upsert("one", {"n": 1})])
    async with served.account("operator") as account:
        store = CosmosStore(account, DATABASE, "catalog")
        found = await store.read(PARTITION, "one")
        with pytest.raises(Unavailable, match="has not the role"):
            await store.batch(PARTITION, [Upsert("two", {})])

    assert found is not None
    assert found.body == {"n": 1}


async def asked(
    served: IdentityCloud, path: str, token: str, method: str = "GET"
) -> tuple[int, str | None, Any]:
    """Return status, substatus and body of one request by https."""
    settings = served.settings("catalog")
    headers = {"authorization": f"type=aad&ver=1.0&sig={token}"}
    url = f"{settings.cosmos_endpoint}{path}"
    async with (
        ClientSession(headers=headers) as http,
        http.request(method, URL(url, encoded=True), ssl=trusting(settings.ca_file)) as answer,
    ):
        return answer.status, answer.headers.get("x-ms-substatus"), await answer.json()


async def test_what_the_data_plane_has_not_is_refused_as_in_azure(served: IdentityCloud) -> None:
    token = served.token("catalog", "https://localhost")

    made = await asked(served, "dbs", token, "POST")
    foreign = await asked(served, "dbs/runtime/colls/health", token)

    assert made[:2] == (403, "5300")
    assert "[POST /dbs] cannot be authorized by AAD token in data plane" in made[2]["message"]
    assert foreign[:2] == (403, "5301")
    assert "databaseAccounts/readMetadata] on resource [/dbs/runtime/colls/health]" in str(foreign)


@pytest.mark.parametrize(
    "path",
    [
        "dbs/runtime%2Fcolls%2Fcatalog/colls/health/docs/x",
        "dbs/runtime/colls/catalog%2F..%2Fhealth/docs/x",
        "dbs/runtime/colls/catalog-leases-not/docs/x",
        "dbs/runtime/colls/Catalog/docs/x",
        "dbs/runtime",
    ],
)
async def test_no_way_of_writing_a_name_leads_around_a_role(
    served: IdentityCloud, path: str
) -> None:
    token = served.token("catalog", "https://localhost")

    status, substatus, _ = await asked(served, path, token)

    assert (status, substatus) == (403, "5301")


@pytest.mark.parametrize(
    ("identity", "resource", "status"),
    [
        pytest.param("catalog", "https://localhost", 200, id="its-host"),
        pytest.param("catalog", "https://localhost:8081/", 200, id="its-port-as-in-javascript"),
        pytest.param("catalog", "https://cosmos.azure.com", 200, id="all-accounts"),
        pytest.param("catalog", "https://vault.azure.net", 401, id="another-service"),
        pytest.param("stranger", "https://localhost", 403, id="without-any-role"),
    ],
)
async def test_a_token_is_for_the_account_and_of_an_identity_with_a_role(
    served: IdentityCloud, identity: str, resource: str, status: int
) -> None:
    assert (await asked(served, "", served.token(identity, resource)))[0] == status


async def test_a_client_without_the_authority_is_not_deceived(served: IdentityCloud) -> None:
    settings = served.settings("catalog")
    assert settings.cosmos_endpoint is not None
    other = ssl.create_default_context()
    async with ClientSession() as http:
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get(settings.cosmos_endpoint, ssl=other)


class LateClock(SystemClock):
    """A clock whose tokens have just ended by that of this machine, which the SDK reads."""

    def now(self) -> datetime:
        return super().now() - TOKEN_LIFE


class CountedEntropy(SystemEntropy):
    """Counts the ids that tokens have."""

    ids = 0

    def uuid(self) -> UUID:
        self.ids += 1
        return super().uuid()


async def test_a_token_that_ends_is_replaced_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, entropy = LateClock(), CountedEntropy()
    async with (
        identity_cloud(tmp_path, monkeypatch, clock=clock, entropy=entropy) as served,
        served.account("catalog") as account,
    ):
        store = CosmosStore(account, DATABASE, "catalog")
        await store.batch(PARTITION, [Upsert("one", {})])
        before = entropy.ids
        await store.batch(PARTITION, [Upsert("two", {})])

    assert entropy.ids > before


async def test_an_account_that_nobody_vouches_for_gets_no_token_at_this_machine_either(
    served: IdentityCloud,
) -> None:
    endpoint = served.settings("catalog").cosmos_endpoint
    assert endpoint is not None
    async with served.credential("catalog") as credential:
        account = CosmosAccount(endpoint, credential=credential)
        with pytest.raises(Unavailable, match="not trusted; RUNTIME_CA_FILE") as away:
            await CosmosStore(account, DATABASE, "catalog").read(PARTITION, "one")
        await account.close()

    assert "localhost" not in away.value.message


async def test_an_account_whose_authority_is_lost_is_unavailable(tmp_path: Path) -> None:
    account = CosmosAccount("https://localhost:1/", key="a2V5", ca_file=tmp_path / "ca.pem")

    with pytest.raises(Unavailable, match="cannot be read") as lost:
        await account.container(DATABASE, "catalog")

    assert str(tmp_path) not in lost.value.message


async def test_without_its_identity_an_app_is_unavailable(served: IdentityCloud) -> None:
    async with served.account("catalog", IDENTITY_HEADER="of another cloud") as account:
        with pytest.raises(Unavailable, match="got no token for Cosmos DB"):
            await CosmosStore(account, DATABASE, "catalog").read(PARTITION, "one")
