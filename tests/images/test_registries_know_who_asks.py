"""A registry is told who asks in the way that it wants, and nobody else hears it."""

import base64
import logging
import urllib.parse
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from shared.images.port import ImageDenied
from shared.images.reference import parse_reference
from shared.images.registries import IDENTITY, Password, read_registries
from shared.images.registry_authorization import AZURE_SCOPE
from shared.images.registry_challenges import Challenge, checked_realm, read_challenges
from shared.kernel.errors import Invalid, Unavailable
from shared.probing.guard import LOOPBACK
from tests.images.registries import (
    DIGEST,
    REPOSITORY,
    Registry,
    client,
    json_answer,
    jwt,
    serving,
    status_answer,
)
from tests.kit.virtual_time import LoopClock
from tests.web.issuers import Authority

USER = Password("ci", "pass-word")
BASIC = "Basic " + base64.b64encode(b"ci:pass-word").decode()
SCOPE = f"repository:{REPOSITORY}:pull"


def asks_for_tokens(registry: Registry, **token: Any) -> None:
    """Let *registry* ask for a bearer token of its own realm."""
    registry.put("1")
    registry.takes = "Bearer t-1"
    registry.challenge = (
        f'Bearer realm="http://{registry.host}/token?account=a",service="{registry.host}",'
        f'scope="{SCOPE}"'
    )
    registry.answers["/token"] = json_answer({"token": "t-1", **token})


class ClockThatStands(LoopClock):
    """A clock whose monotonic time is set."""

    at_s = 0.0

    def monotonic_s(self) -> float:
        return self.at_s


async def test_a_password_is_sent_where_it_is_asked_for_and_only_then() -> None:
    async with serving(Registry(challenge='Basic realm="r"', takes=BASIC)) as registry:
        registry.put("1")
        asks = client({registry.host: USER})

        assert await asks.resolve(registry.reference()) == DIGEST
        assert await asks.resolve(registry.reference()) == DIGEST

    assert registry.asked.total() == 3
    assert registry.told == [BASIC, BASIC]


async def test_nobody_gets_a_token_for_nobody() -> None:
    async with serving(Registry()) as registry:
        asks_for_tokens(registry)

        assert await client().resolve(registry.reference()) == DIGEST

    assert registry.told == ["Bearer t-1"]


async def test_a_token_is_had_with_the_password_for_one_repository() -> None:
    asked: list[Mapping[str, str]] = []

    async def token(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return web.json_response({"access_token": "t-1", "expires_in": 300})

    async with serving(Registry()) as registry:
        asks_for_tokens(registry)
        registry.answers["/token"] = token

        await client({registry.host: USER}).resolve(registry.reference())

    assert asked == [{"account": "a", "scope": SCOPE, "service": registry.host}]
    assert registry.told == [BASIC, "Bearer t-1"]


async def test_a_token_is_kept_until_it_expires() -> None:
    clock = ClockThatStands()
    async with serving(Registry()) as registry:
        asks_for_tokens(registry, expires_in=300)
        asks = client(clock=clock)
        for clock.at_s in (0.0, 200.0, 284.0, 286.0):
            await asks.resolve(registry.reference())

    assert registry.asked["GET /token"] == 2


async def test_a_token_that_is_refused_early_is_had_anew_once() -> None:
    async with serving(Registry()) as registry:
        asks_for_tokens(registry, expires_in=300)
        asks = client()
        await asks.resolve(registry.reference())
        registry.takes = "Bearer t-2"
        registry.answers["/token"] = json_answer({"token": "t-2"})

        assert await asks.resolve(registry.reference()) == DIGEST


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ImageDenied), (403, ImageDenied), (429, Unavailable), (502, Unavailable)],
)
async def test_a_realm_that_gives_no_token_says_whether_to_come_again(
    status: int, error: type[Exception]
) -> None:
    async with serving(Registry()) as registry:
        asks_for_tokens(registry)
        registry.answers["/token"] = status_answer(status)

        with pytest.raises(error, match=registry.host):
            await client({registry.host: USER}).resolve(registry.reference())


@pytest.mark.parametrize("expires", [10**400, -(10**400), "soon", None, True])
async def test_a_time_of_expiry_that_is_no_number_says_nothing(expires: object) -> None:
    async with serving(Registry()) as registry:
        asks_for_tokens(registry, expires_in=expires)

        assert await client().resolve(registry.reference()) == DIGEST


@pytest.mark.parametrize(
    "token",
    [{"token": 7}, {"token": "two words"}, {"token": ""}, {}, [], {"token": "x" * 20_000}],
    ids=["a-number", "two-words", "empty", "none", "no-object", "too-long"],
)
async def test_a_token_that_is_none_is_not_sent(token: object) -> None:
    async with serving(Registry()) as registry:
        asks_for_tokens(registry)
        registry.answers["/token"] = json_answer(token)

        with pytest.raises(Unavailable, match="cannot be read"):
            await client().resolve(registry.reference())


@pytest.mark.parametrize(
    "realm",
    [
        "http://tokens.example/", "http://127.0.0.1:80/", "https://127.0.0.1/token", "ftp://a/",
        "https://LOCALHOST:1/token", "https://LocalHost/token",
        "https://user:secret@tokens.example/", "//tokens.example/", "", "https://[bad/",
    ],
)  # fmt: skip
def test_a_registry_sends_nobody_with_credentials_to_where_they_could_be_read(realm: str) -> None:
    with pytest.raises(Unavailable, match="expected https") as refused:
        checked_realm(Challenge("bearer", {"realm": realm}), "registry.example")

    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("https://auth.docker.io/token", "docker.io"),
        ("https://shop.azurecr.io/oauth2/token", "shop.azurecr.io"),
        ("http://127.0.0.1:5001/token", "127.0.0.1:5000"),
    ],
)
def test_a_realm_may_be_another_host(realm: str, registry: str) -> None:
    assert checked_realm(Challenge("bearer", {"realm": realm}), registry) == realm


def test_every_challenge_of_a_header_is_read() -> None:
    header = 'Negotiate, Bearer realm="https://a/t?x=1,2", service=a.example, Basic realm="r, s"'

    assert [(each.scheme, dict(each.parameters)) for each in read_challenges([header])] == [
        ("negotiate", {}),
        ("bearer", {"realm": "https://a/t?x=1,2", "service": "a.example"}),
        ("basic", {"realm": "r, s"}),
    ]


@given(st.lists(st.text(max_size=60) | st.text('Bb earic="\\,/:ht', max_size=60), max_size=3))
def test_whatever_stands_in_the_header_is_read_or_left_out(headers: list[str]) -> None:
    for challenge in read_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower() != ""
        try:
            realm = checked_realm(challenge, "registry.example")
        except Unavailable:
            continue
        assert realm.startswith("https://")


class EntraCredential:
    """A credential as azure-identity has it."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def __call__(self) -> Any:
        return self

    async def get_token(self, *scopes: str, **_: object) -> Any:
        from azure.core.credentials import AccessToken

        self.scopes += scopes
        return AccessToken("entra-token", 0)


async def test_a_registry_of_azure_is_asked_as_the_apps_identity(tmp_path: Path) -> None:
    authority, clock, entra = Authority(tmp_path), LoopClock(), EntraCredential()
    forms: list[tuple[str, dict[str, str]]] = []
    lives_until = (clock.now() + timedelta(hours=3)).timestamp()
    refresh, access = jwt(lives_until), jwt(lives_until)

    async def exchange(request: web.Request) -> web.StreamResponse:
        forms.append((request.path, dict(urllib.parse.parse_qsl(await request.text()))))
        is_exchange = request.path == "/oauth2/exchange"
        name = "refresh_token" if is_exchange else "access_token"
        return web.json_response({name: refresh if is_exchange else access})

    async def here(_: str) -> list[str]:
        return ["127.0.0.1"]

    registry = Registry(takes=f"Bearer {access}")
    # What the realm says is not followed: the identity's token goes to the registry only.
    registry.challenge = 'Bearer realm="https://elsewhere.example/t",service="elsewhere.example"'
    registry.answers = {"/oauth2/exchange": exchange, "/oauth2/token": exchange}
    registry.put("1")
    async with serving(registry, authority.server_context(["shop.azurecr.io"])):
        host = f"shop.azurecr.io:{registry.host.rpartition(':')[2]}"
        asks = client(
            {host: IDENTITY}, clock=clock, identity=entra, ca_file=authority.file,
            plain_loopback=False, networks=LOOPBACK, resolve=here,
        )  # fmt: skip
        for repository in (REPOSITORY, REPOSITORY):
            assert await asks.resolve(parse_reference(f"{host}/{repository}:1")) == DIGEST

    assert entra.scopes == [AZURE_SCOPE]
    assert forms == [
        (
            "/oauth2/exchange",
            {"grant_type": "access_token", "service": host, "access_token": "entra-token"},
        ),
        (
            "/oauth2/token",
            {
                "grant_type": "refresh_token",
                "service": host,
                "scope": SCOPE,
                "refresh_token": refresh,
            },
        ),
    ]


async def test_a_registry_that_was_made_again_is_asked_with_a_new_exchange(
    tmp_path: Path,
) -> None:
    authority, clock = Authority(tmp_path), LoopClock()
    lives_until = (clock.now() + timedelta(hours=3)).timestamp()
    refresh, access = [jwt(lives_until), jwt(lives_until + 1)], jwt(lives_until)
    asked: list[str] = []

    async def exchange(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response({"refresh_token": refresh[0]})

    async def token(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        form = dict(urllib.parse.parse_qsl(await request.text()))
        if form["refresh_token"] != refresh[0]:
            return web.json_response({}, status=401)
        return web.json_response({"access_token": access})

    async def here(_: str) -> list[str]:
        return ["127.0.0.1"]

    registry = Registry(takes=f"Bearer {access}", challenge='Bearer realm="https://e.example/t"')
    registry.answers = {"/oauth2/exchange": exchange, "/oauth2/token": token}
    registry.put("1")
    async with serving(registry, authority.server_context(["shop.azurecr.io"])):
        host = f"shop.azurecr.io:{registry.host.rpartition(':')[2]}"
        asks = client(
            {host: IDENTITY}, clock=clock, identity=EntraCredential(), ca_file=authority.file,
            plain_loopback=False, networks=LOOPBACK, resolve=here,
        )  # fmt: skip
        assert await asks.resolve(parse_reference(f"{host}/{REPOSITORY}:1")) == DIGEST
        refresh.pop(0)
        asks.authorization.forget(host, SCOPE)

        assert await asks.resolve(parse_reference(f"{host}/{REPOSITORY}:1")) == DIGEST

    first, again = asked[:2], asked[2:]
    assert first == ["/oauth2/exchange", "/oauth2/token"]
    assert again == ["/oauth2/token", "/oauth2/exchange", "/oauth2/token"]


async def test_without_a_token_of_entra_the_registry_is_away() -> None:
    from azure.core.exceptions import ClientAuthenticationError

    class NoCredential(EntraCredential):
        async def get_token(self, *scopes: str, **_: object) -> Any:
            raise ClientAuthenticationError("an answer with entra-token in it")

    async with serving(Registry(challenge="Bearer realm=x")) as registry:
        asks = client({registry.host: IDENTITY}, identity=NoCredential())
        with pytest.raises(Unavailable, match="got no token") as away:
            await asks.resolve(registry.reference())

    assert "entra-token" not in away.value.message
    assert away.value.__cause__ is None


@pytest.mark.parametrize("status", [200, 401, 404, 500])
async def test_no_error_and_no_log_has_a_credential(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(Registry()) as registry:
        asks_for_tokens(registry)
        registry.answers["/token"] = status_answer(status)
        asks = client({registry.host: USER})
        with pytest.raises((ImageDenied, Unavailable)) as refused:
            await asks.resolve(registry.reference())

    shown = f"{caplog.text}{refused.value.message}{asks!r}{refused.value.__cause__!r}"
    for secret in ("pass-word", BASIC.partition(" ")[2]):
        assert secret not in shown


async def test_a_password_of_one_registry_is_never_told_to_another() -> None:
    async with serving(Registry()) as other, serving(Registry()) as registry:
        registry.challenge, registry.takes = 'Basic realm="r"', BASIC
        asks = client({other.host: USER})
        with pytest.raises(ImageDenied):
            await asks.resolve(registry.reference())

    assert registry.told == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[]", "expected a JSON object", id="no-object"),
        pytest.param('{"a.example": {"password": "pass-word"}}', "a.example", id="no-name"),
        pytest.param('{"a.example": "pass-word"}', "a.example", id="a-password-alone"),
        pytest.param('{"a.example": "identity"}', r"\*\.azurecr\.io", id="identity-elsewhere"),
        pytest.param('{"127.0.0.1:5": "identity"}', r"\*\.azurecr\.io", id="identity-here"),
        pytest.param('{"https://a": "anonymous"}', "no host", id="a-url"),
    ],
)
def test_a_setting_that_is_wrong_is_refused_without_its_values(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        read_registries(text)

    assert "pass-word" not in refused.value.message


def test_the_entry_of_a_registry_counts_before_a_pattern() -> None:
    registries = read_registries(
        '{"*.azurecr.io": "identity", "own.azurecr.io": {"username": "u", "password": "p"}}'
    )

    assert registries.credential("shop.azurecr.io") == IDENTITY
    assert registries.credential("own.azurecr.io") == Password("u", "p")
    assert registries.credential("ghcr.io") is None
    assert registries.credential("azurecr.io") is None
