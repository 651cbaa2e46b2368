"""What the endpoint answers beyond the port, and what a client of ours does when it fails."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from local_cloud.key_vault_endpoint.authorization import RESOURCE
from local_cloud.key_vault_endpoint.errors import ErrorAnswer
from local_cloud.key_vault_endpoint.faults import FORBIDDEN, Fault, FaultMoment
from shared.kernel.errors import NotFound, Unavailable
from shared.vault.key_vault import KeyVault
from shared.vault.port import SecretValue
from tests.kit.key_vault import OFFICER, VaultWire, trusting

pytestmark = pytest.mark.real
VALUE = SecretValue("s3cret")
VERSION = {"api-version": "2025-07-01"}
BAD = "BadParameter"


@pytest.fixture
async def http(wire: VaultWire) -> AsyncIterator[ClientSession]:
    """A client with a good token."""
    token, _ = wire.identities.token(wire.identities.get(OFFICER), RESOURCE)
    headers = {"Authorization": f"Bearer {token}"}
    connector = TCPConnector(ssl=trusting(wire.certificates))
    async with ClientSession(wire.endpoint.url, headers=headers, connector=connector) as session:
        yield session


async def ask(
    http: ClientSession, method: str, path: str, body: Any = None, **query: str
) -> tuple[int, Any]:
    async with http.request(method, path, params=VERSION | query, json=body) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def test_the_name_of_a_parameter_may_be_percent_encoded(http: ClientSession) -> None:
    from yarl import URL

    path = URL("/secrets/?api%2Dversion=2025-07-01", encoded=True)
    async with http.get(path) as response:
        assert (response.status, await response.json()) == (200, {"value": [], "nextLink": None})


async def test_empty_attributes_reset_nothing(http: ClientSession) -> None:
    attributes = {"enabled": False, "exp": 1_800_000_000, "nbf": 1_700_000_000}
    body = {"value": "x", "attributes": attributes, "tags": {"a": "b"}, "contentType": "text"}
    _, made = await ask(http, "PUT", "/secrets/s", body)

    version = made["id"].rsplit("/", 1)[1]
    status, changed = await ask(http, "PATCH", f"/secrets/s/{version}", {"attributes": {}})

    assert status == 200
    assert "value" not in changed
    assert changed["attributes"] == made["attributes"]
    assert (changed["tags"], changed["contentType"]) == ({"a": "b"}, "text")
    assert {name: made["attributes"][name] for name in attributes} == attributes


async def test_a_bundle_is_that_of_the_service(wire: VaultWire, http: ClientSession) -> None:
    _, made = await ask(http, "PUT", "/secrets/s", {"value": "x"})

    now = int(wire.vault._now().timestamp())
    version = (await wire.vault.get("s")).properties.version
    assert made == {
        "value": "x",
        "id": f"{wire.endpoint.url}/secrets/s/{version}",
        "attributes": {
            "enabled": True,
            "created": now,
            "updated": now,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
    }
    assert await ask(http, "GET", "/secrets/s/") == (200, made)
    _, listed = await ask(http, "GET", "/secrets")
    assert listed["value"] == [
        {"id": f"{wire.endpoint.url}/secrets/s", "attributes": made["attributes"]}
    ]
    _, deleted = await ask(http, "DELETE", "/secrets/s")
    assert deleted["recoveryId"] == f"{wire.endpoint.url}/deletedsecrets/s"
    assert deleted["scheduledPurgeDate"] - deleted["deletedDate"] == 90 * 24 * 3600
    assert await ask(http, "GET", "/deletedsecrets/s") == (200, deleted)
    assert (await ask(http, "POST", "/deletedsecrets/s/recover"))[0] == 200
    assert await ask(http, "GET", "/secrets/s") == (200, made)


@pytest.mark.parametrize("kind", ["secrets", "deletedsecrets", "secrets/s-0/versions"])
async def test_a_list_goes_on_by_its_link(wire: VaultWire, http: ClientSession, kind: str) -> None:
    for number in range(5):
        await wire.vault.set("s-0" if "versions" in kind else f"s-{number}", VALUE)
    if kind == "deletedsecrets":
        for number in range(5):
            await wire.vault.delete(f"s-{number}")

    sizes, ids = [], set()
    _, page = await ask(http, "GET", f"/{kind}", maxresults="2")
    while True:
        sizes.append(len(page["value"]))
        ids |= {item["id"] for item in page["value"]}
        if page["nextLink"] is None:
            break
        async with http.get(page["nextLink"]) as response:
            page = await response.json()

    assert (sizes, len(ids)) == ([2, 2, 1], 5)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "inner"),
    [
        ("GET", "/secrets/absent", None, 404, "SecretNotFound", None),
        ("GET", "/secrets/off", None, 403, "Forbidden", "SecretDisabled"),
        ("PUT", "/secrets/gone", {"value": "x"}, 409, "Conflict", "ObjectIsDeletedButRecoverable"),
        ("POST", "/deletedsecrets/off/recover", None, 404, "SecretNotFound", None),
        ("PUT", "/secrets/a_b", {"value": "x"}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": 1}, 400, BAD, None),
        ("PUT", "/secrets/s", ["value"], 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "x" * 25_601}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "x" * 300_000}, 413, "RequestEntityTooLarge", None),
        ("PUT", "/secrets/s", {"value": "x", "tags": {"a": 1}}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "x", "tags": []}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "x", "contentType": 1}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "x", "attributes": []}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "", "attributes": {"exp": 1e9}}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "", "attributes": {"exp": -1}}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "", "attributes": {"nbf": "1"}}, 400, BAD, None),
        ("PUT", "/secrets/s", {"value": "", "attributes": {"enabled": 1}}, 400, BAD, None),
        ("GET", "/secrets?maxresults=26", None, 400, BAD, None),
        ("GET", "/secrets?$skiptoken=%C3%A9", None, 400, BAD, None),
        ("GET", "/secrets?$skiptoken=x", None, 400, BAD, None),
        ("POST", "/secrets/s/backup", None, 405, "MethodNotAllowed", None),
        ("GET", "/keys", None, 405, "MethodNotAllowed", None),
        ("GET", "/", None, 405, "MethodNotAllowed", None),
    ],
)  # fmt: skip
async def test_a_refusal_is_that_of_the_service(
    wire: VaultWire,
    http: ClientSession,
    method: str,
    path: str,
    body: Any,
    status: int,
    code: str,
    inner: str | None,
) -> None:
    await wire.vault.set("off", VALUE, enabled=False)
    await wire.vault.set("gone", VALUE)
    await wire.vault.delete("gone")

    answered, problem = await ask(http, method, path, body)

    assert (answered, problem["error"]["code"]) == (status, code)
    assert problem["error"].get("innererror") == (None if inner is None else {"code": inner})


async def test_a_request_without_a_version_of_the_api_is_refused(http: ClientSession) -> None:
    async with http.get("/secrets") as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "BadParameter"


async def test_links_name_no_foreign_host(http: ClientSession) -> None:
    async with http.get("/secrets", params=VERSION, headers={"Host": "evil.example"}) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("moment", "versions"), [(FaultMoment.CUT_BEFORE, 0), (FaultMoment.CUT_AFTER, 1)]
)
async def test_a_secret_is_set_once_whatever_breaks(
    wire: VaultWire, moment: FaultMoment, versions: int
) -> None:
    await wire.client.names()  # what is open already, aiohttp would try again
    wire.endpoint.faults.add(Fault(moment), times=1)

    with pytest.raises(Unavailable):
        await wire.client.set("s", VALUE)

    assert len(await wire.vault.versions("s")) == versions


@pytest.mark.parametrize("change", ["delete", "recover", "purge"])
async def test_what_took_effect_is_not_taken_for_absent(wire: VaultWire, change: str) -> None:
    await wire.vault.set("s", VALUE)
    if change != "delete":
        await wire.vault.delete("s")
    wire.endpoint.faults.add(Fault(FaultMoment.CUT_AFTER))

    with pytest.raises(Unavailable):
        await getattr(wire.client, change)("s")
    with pytest.raises(NotFound):
        await getattr(wire.client, change)("s")


async def test_a_vault_whose_certificate_is_not_trusted_is_named_so(wire: VaultWire) -> None:
    from azure.identity.aio import ManagedIdentityCredential

    async with ManagedIdentityCredential() as credential:
        stranger = KeyVault(wire.endpoint.url, credential=lambda: credential)
        with pytest.raises(Unavailable, match="not trusted; RUNTIME_CA_FILE"):
            await stranger.get("s")
        await stranger.close()


async def test_a_vault_that_does_not_answer_is_left(wire: VaultWire) -> None:
    from azure.identity.aio import ManagedIdentityCredential

    async with ManagedIdentityCredential() as credential:
        hasty = KeyVault(
            wire.endpoint.url,
            credential=lambda: credential,
            ca_file=wire.certificates.ca_file,
            timeout_s=1.5,
        )
        await hasty.names()
        wire.endpoint.faults.add(Fault(FaultMoment.STALLED), times=2)

        with pytest.raises(Unavailable, match="cannot be reached"):
            await hasty.get("s")
        await hasty.close()


async def test_a_read_is_tried_again_once(wire: VaultWire) -> None:
    await wire.client.set("s", VALUE)
    wire.endpoint.faults.add(Fault(FaultMoment.CUT_BEFORE), times=1)

    assert (await wire.client.get("s")).value == VALUE


async def test_a_role_that_is_not_known_yet_is_no_refusal(wire: VaultWire) -> None:
    await wire.client.set("s", VALUE)
    wire.endpoint.faults.add(FORBIDDEN)

    with pytest.raises(Unavailable) as refused:
        await wire.client.get("s")

    assert (refused.value.retry_after_s, refused.value.throttled) == (120, False)
    assert (await wire.client.get("s")).value == VALUE


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_vault_that_is_away_is_unavailable_at_once(wire: VaultWire, status: int) -> None:
    before = wire.endpoint.faults.seen
    wire.endpoint.faults.add(Fault(answer=ErrorAnswer(status, "Away", "away")))

    with pytest.raises(Unavailable):
        await wire.client.names()

    assert wire.endpoint.faults.seen - before == 1


async def test_a_vault_that_was_stopped_is_unavailable(wire: VaultWire) -> None:
    await wire.endpoint.stop()

    with pytest.raises(Unavailable, match="cannot be reached"):
        await wire.client.names()
