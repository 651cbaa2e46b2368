"""Only who has the account's key, or a token with a role, is answered."""

from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession

from local_cloud.storage_endpoint.authorization import Access
from shared.kernel.errors import Denied, Unauthenticated
from tests.kit.storage_accounts import Emulator
from tests.kit.storage_requests import Answer, Requests
from tests.kit.storage_wire import wired_storage

pytestmark = pytest.mark.real
LIST = "/known?restype=container&comp=list&prefix=a%20b"
QUERY = "/known()?$filter=PartitionKey%20eq%20'p'"


async def asked(requests: Requests) -> tuple[Answer, Answer]:
    """Return the answers of the two services to a read."""
    return await requests.blob("GET", LIST), await requests.table("GET", QUERY)


@pytest.mark.parametrize("scheme", ["SharedKey", "SharedKeyLite"])
async def test_a_signature_by_the_reference_is_taken(requests: Requests, scheme: str) -> None:
    blob, table = await asked(replace(requests, scheme=scheme))

    assert (blob.status, table.status) == (200, 200)


async def test_azurite_takes_the_same_signatures(azurite: Emulator) -> None:
    """It says ResourceNotFound, TableNotFound: whoever had no right would be told 403."""
    async with ClientSession() as http:
        full = Requests(azurite, http)
        lite = replace(full, scheme="SharedKeyLite")

        assert (await full.blob("GET", LIST)).code == "ContainerNotFound"
        assert (await full.table("GET", QUERY)).status == 404
        assert (await lite.table("GET", QUERY)).status == 404


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"key": "d3Jvbmc="}, id="another-key"),
        pytest.param({"scheme": "SharedKeyLite", "key": "d3Jvbmc="}, id="another-key-lite"),
        pytest.param({"unsigned": {"x-ms-date": "Sat, 28 Nov 2026 20:00:00 GMT"}}, id="a-date"),
        pytest.param({"unsigned": {"Authorization": "SharedKey other:c2ln"}}, id="another-account"),
        pytest.param({"unsigned": {"Authorization": "SharedKey"}}, id="no-signature"),
        pytest.param({"unsigned": {"Authorization": "SharedKey \u00fc:\u00fc"}}, id="no-base64"),
    ],
)
async def test_a_signature_of_something_else_is_refused(
    requests: Requests, changed: dict[str, dict[str, str]]
) -> None:
    blob, table = await asked(replace(requests, **changed))  # type: ignore[arg-type]

    assert (blob.status, blob.code) == (403, "AuthenticationFailed")
    assert (table.status, table.code) == (403, "AuthenticationFailed")
    assert blob.body.startswith(b'<?xml version="1.0" encoding="utf-8"?><Error>')
    assert table.body.startswith(b'{"odata.error": {"code": "AuthenticationFailed"')


@pytest.mark.parametrize("header", ["", "Basic dGVzdHM6", "Bearer e30.e30.c2ln", "x" * 1000])
async def test_whoever_shows_no_key_is_asked_for_it(requests: Requests, header: str) -> None:
    """Bearer tokens too, where nobody judges them."""
    for answer in await asked(replace(requests, unsigned={"Authorization": header})):
        assert (answer.status, answer.code) == (401, "NoAuthenticationInformation")


async def test_who_may_not_ask_is_not_told_what_there_is(requests: Requests) -> None:
    stranger = replace(requests, key="d3Jvbmc=")

    for path in ("/absent/a", "/known/a?comp=tags", "/known/.a", "/"):
        assert (await stranger.blob("GET", path)).code == "AuthenticationFailed"


class Refusing:
    """Implements `Authorization`: notes which access is asked for, and lets nobody write."""

    challenge = "Bearer authorization_uri=https://login.local resource_id=https://storage.azure.com"

    def __init__(self) -> None:
        self.accesses: list[tuple[str, str | None, bool]] = []

    async def check(self, authorization: str, access: Access) -> None:
        self.accesses.append((access.service, access.resource, access.writes))
        if authorization != "Bearer good":
            raise Unauthenticated("the token proves nothing")
        if access.writes and access.resource is not None:
            raise Denied("no role")


async def test_a_token_is_judged_before_anything_is_done(tmp_path: Path) -> None:
    judge = Refusing()
    body = b'{"TableName": "fresh"}'
    async with wired_storage(tmp_path, authorization=judge) as served, ClientSession() as http:
        owner = Requests(served, http)
        await owner.blob("PUT", "/known?restype=container")
        good = replace(owner, unsigned={"Authorization": "Bearer good"})
        bad = replace(owner, unsigned={"Authorization": "Bearer bad"})
        none = replace(owner, unsigned={"Authorization": ""})

        read = await good.blob("GET", LIST)
        refused = [
            await good.blob("PUT", "/fresh?restype=container"),
            await good.blob("PUT", "/known/a", b"x", {"x-ms-blob-type": "BlockBlob"}),
            await good.blob("DELETE", "/known/a"),
            await good.table("POST", "/Tables", body),
        ]
        unknown = [await bad.blob("GET", LIST), await none.table("GET", QUERY)]

        assert read.status == 200
        assert {(each.status, each.code) for each in refused} == {
            (403, "AuthorizationPermissionMismatch")
        }
        assert [each.status for each in unknown] == [401, 401]
        assert {each.headers["WWW-Authenticate"] for each in unknown} == {judge.challenge}
        assert (await owner.blob("GET", "/fresh/a")).code == "ContainerNotFound"
        assert (await owner.table("POST", "/Tables", body)).status == 201
    assert judge.accesses[:5] == [
        ("blob", "known", False), ("blob", "fresh", True), ("blob", "known", True),
        ("blob", "known", True), ("table", None, True),
    ]  # fmt: skip
    assert ("table", "fresh", True) in judge.accesses
