"""Signing keys are read from issuers over TLS, kept for a while, and never mixed up."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from shared.kernel.errors import Invalid, Unauthenticated, Unavailable
from shared.web.authentication import Authenticator, KeysByIssuer
from shared.web.discovery import DOCUMENT_MAX, check_issuer
from shared.web.key_sets import FIRST_RETRY_S, KEPT_MAX_S, KEYS_MAX_AGE_S, REFRESH_LEAST_S
from shared.web.tenancy import Tenancy
from tests.kit.stores import HandClock
from tests.web.issuers import (
    DIRECTORY,
    NAMES,
    OTHER_DIRECTORY,
    Answer,
    Authority,
    Issuers,
    a_json,
    issuers,
)
from tests.web.tokens import (
    AUDIENCE,
    EC_KEY,
    OTHER_EC_KEY,
    RSA_KEY,
    ServedKeys,
    assembled,
    jwk,
    with_library,
)

pytestmark = pytest.mark.real
ENTRA_V2: Final = f"/{DIRECTORY}/v2.0"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Issuers]:
    async with issuers(tmp_path) as one:
        yield one


class Gate:
    """An authenticator over served keys and a clock that stands still."""

    def __init__(self, served: Issuers, *trusted: str, **source: Any) -> None:
        self.clock = HandClock()
        self.authenticator = Authenticator(
            served.source(**source), list(trusted), AUDIENCE, self.clock, Tenancy(naming=trusted)
        )

    def token(self, issuer: str, key: Any = EC_KEY, kid: str = "ec") -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": issuer, "aud": AUDIENCE, "sub": "ann", "tenantId": "acme",
            "roles": ["Runtime.Read"], "iat": now, "exp": now + 3600,
        }  # fmt: skip
        if key is RSA_KEY:
            return with_library(claims, key, "RS256", kid=kid)
        head = json.dumps({"alg": "ES256", "kid": kid}).encode()
        return assembled(head, json.dumps(claims).encode(), key)

    async def code(self, token: str) -> str:
        """Return the code of the refusal of *token*; empty where it is taken."""
        try:
            await self.authenticator.authenticate(f"Bearer {token}", None)
        except (Unauthenticated, Unavailable) as problem:
            return problem.code
        return ""


async def test_a_token_is_verified_with_the_key_that_its_issuer_publishes(served: Issuers) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    gate = Gate(served, issuer)

    assert await gate.code(gate.token(issuer)) == ""
    assert await gate.code(gate.token(issuer, OTHER_EC_KEY)) == "BadSignature"


async def test_keys_without_an_algorithm_at_another_host_of_entra_are_taken(
    served: Issuers,
) -> None:
    v1 = served.url(f"/{DIRECTORY}/", "sts.windows.net")
    key = {name: text for name, text in jwk(RSA_KEY, "rsa", "RS256").items() if name != "alg"}
    common = served.url("/common/discovery/keys", "login.windows.net")
    served.add(v1, [key | {"x5t": "rsa", "x5c": ["MIIC"]}], key_url=common)
    gate = Gate(served, v1)

    assert await gate.code(gate.token(v1, RSA_KEY, "rsa")) == ""


async def test_a_key_set_is_taken_of_a_server_that_has_it_under_its_own_type_only(
    served: Issuers,
) -> None:
    issuer = served.url("/cluster")
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    given = served.answers["/cluster/keys"]

    async def negotiated(request: web.Request) -> web.StreamResponse:
        """Answer as Kubernetes does."""
        is_asked = "application/jwk-set+json" in request.headers["Accept"].split(", ")
        return await given(request) if is_asked else web.Response(status=406)

    served.answers["/cluster/keys"] = negotiated
    gate = Gate(served, issuer)

    assert await gate.code(gate.token(issuer)) == ""


async def test_the_name_of_an_issuer_counts_to_its_last_slash(served: Issuers) -> None:
    issuer = served.url(f"/{DIRECTORY}/")
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    gate = Gate(served, issuer)

    assert await gate.code(gate.token(issuer.rstrip("/"))) == "WrongIssuer"
    assert await gate.code(gate.token(issuer)) == ""


@pytest.mark.parametrize("kid", ["ec", "other"], ids=["the-same-kid", "a-kid-of-its-own"])
async def test_a_key_of_one_issuer_verifies_no_token_of_another(served: Issuers, kid: str) -> None:
    good, hostile = served.url(ENTRA_V2), served.url(f"/{OTHER_DIRECTORY}/v2.0", "other.test")
    served.add(good, [jwk(EC_KEY, "ec", "ES256")])
    served.add(hostile, [jwk(OTHER_EC_KEY, kid, "ES256")])
    gate = Gate(served, good, hostile)
    assert await gate.code(gate.token(hostile, OTHER_EC_KEY, kid)) == ""

    forged = gate.token(good, OTHER_EC_KEY, kid)

    expected = "BadSignature" if kid == "ec" else "UnknownKey"
    assert await gate.code(forged) == expected
    assert await gate.code(gate.token(good)) == ""
    assert await gate.code(forged) == expected


async def test_an_issuer_of_another_source_is_not_asked_for(served: Issuers) -> None:
    near, far = "https://issuer.local/near", served.url(ENTRA_V2)
    served.add(far, [jwk(OTHER_EC_KEY, "ec", "ES256")])
    gate = Gate(served, near, far)
    gate.authenticator.keys = KeysByIssuer({near: ServedKeys()}, served.source())

    assert await gate.code(gate.token(near)) == ""
    assert await gate.code(gate.token(near, OTHER_EC_KEY)) == "BadSignature"
    assert await gate.code(gate.token(far, OTHER_EC_KEY)) == ""


async def test_nobody_is_asked_for_the_keys_of_an_issuer_that_is_not_trusted(
    served: Issuers,
) -> None:
    hostile = served.url("/hostile")
    served.add(hostile, [jwk(EC_KEY, "ec", "ES256")])
    gate = Gate(served, served.url(ENTRA_V2))

    assert await gate.code(gate.token(hostile)) == "WrongIssuer"
    assert not served.asked


async def test_a_key_that_is_new_is_read_once_and_one_that_is_gone_is_refused(
    served: Issuers,
) -> None:
    issuer, keys = served.url(ENTRA_V2), [jwk(EC_KEY, "ec", "ES256")]
    served.add(issuer, keys)
    gate = Gate(served, issuer)
    await gate.code(gate.token(issuer))

    keys[:] = [jwk(OTHER_EC_KEY, "new", "ES256")]
    rolled = gate.token(issuer, OTHER_EC_KEY, "new")

    assert [await gate.code(rolled) for _ in range(5)] == ["UnknownKey"] * 5
    assert served.asked_for_keys == 1
    gate.clock.pass_by(REFRESH_LEAST_S)
    assert await gate.code(rolled) == ""
    assert await gate.code(gate.token(issuer)) == "UnknownKey"
    assert served.asked_for_keys == 2


async def test_callers_who_come_together_ask_once_and_one_who_leaves_ends_nothing(
    served: Issuers,
) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    found = served.answers[f"{ENTRA_V2}/keys"]

    async def held(request: web.Request) -> web.StreamResponse:
        await served.released.wait()
        return await found(request)

    served.answers[f"{ENTRA_V2}/keys"] = held
    gate = Gate(served, issuer)
    token = gate.token(issuer)

    callers = [asyncio.create_task(gate.code(token)) for _ in range(40)]
    while served.asked_for_keys == 0:  # noqa: ASYNC110  a real server sets it
        await asyncio.sleep(0)  # noqa: TID251
    callers[0].cancel()
    served.released.set()
    with suppress(asyncio.CancelledError):
        await callers[0]
    codes = await asyncio.gather(*callers[1:])

    assert set(codes) == {""}
    assert set(served.asked.values()) == {1}


@pytest.mark.parametrize(
    ("caching", "kept_s"),
    [
        ("max-age=120", 120.0),
        ("public, Max-Age=300, immutable", 300.0),
        ("max-age=0", REFRESH_LEAST_S),
        ("no-store", KEYS_MAX_AGE_S),
        ("max-age=86400, private", KEYS_MAX_AGE_S),
        ("s-maxage=60", KEYS_MAX_AGE_S),
        ("max-age=-5", KEYS_MAX_AGE_S),
        ("max-age=99999999999999999999", KEYS_MAX_AGE_S),
    ],
)
async def test_a_set_is_kept_as_long_as_its_issuer_says_within_limits(
    served: Issuers, caching: str, kept_s: float
) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")], cache_control=caching)
    gate = Gate(served, issuer)
    token = gate.token(issuer)
    await gate.code(token)

    gate.clock.pass_by(kept_s - 1)
    assert (await gate.code(token), served.asked_for_keys) == ("", 1)
    gate.clock.pass_by(1)
    assert (await gate.code(token), served.asked_for_keys) == ("", 2)


async def test_while_an_issuer_is_away_its_keys_are_used_for_a_day_and_nobody_waits(
    served: Issuers,
) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    gate = Gate(served, issuer, timeout_s=1.0)
    await gate.code(gate.token(issuer))
    works = dict(served.answers)
    served.answers[f"{ENTRA_V2}/.well-known/openid-configuration"] = hanging(served)

    gate.clock.pass_by(KEYS_MAX_AGE_S)
    assert await gate.code(gate.token(issuer)) == ""  # waits once for what has no answer
    gate.clock.pass_by(REFRESH_LEAST_S)
    assert await gate.code(gate.token(issuer)) == ""
    reading = gate.authenticator._key_sets[issuer]._reading
    assert reading is not None
    assert not reading.done()
    await reading
    gate.clock.pass_by(KEPT_MAX_S - KEYS_MAX_AGE_S - REFRESH_LEAST_S - 1)
    assert await gate.code(gate.token(issuer)) == ""
    gate.clock.pass_by(1)
    assert await gate.code(gate.token(issuer)) == "Unavailable"

    served.answers.update(works)
    gate.clock.pass_by(FIRST_RETRY_S)
    assert await gate.code(gate.token(issuer)) == ""


async def test_an_issuer_that_was_never_there_is_tried_once_a_second(served: Issuers) -> None:
    issuer = served.url(ENTRA_V2)
    gate = Gate(served, issuer)

    codes = {await gate.code(gate.token(issuer)) for _ in range(10)}
    assert (codes, served.asked.total()) == ({"Unavailable"}, 1)

    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    gate.clock.pass_by(FIRST_RETRY_S)
    assert await gate.code(gate.token(issuer)) == ""


async def test_keys_that_are_weak_damaged_or_private_are_ignored_beside_good_ones(
    served: Issuers,
) -> None:
    issuer = served.url(ENTRA_V2)
    good = jwk(EC_KEY, "ec", "ES256")
    odd: list[Any] = [
        None, 7, {}, {"kty": "RSA"}, {"kty": "OKP", "crv": 7, "kid": "okp"},
        {"kty": ["EC"], "kid": "ec"}, good | {"kid": 7}, good | {"kid": ""}, good | {"x": "AA"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "ec", "alg": "HS256"}, good | {"use": "enc"},
        {"kty": "RSA", "n": "x" * 100, "e": "AQAB", "kid": "weak"},
    ]  # fmt: skip
    served.add(issuer, [*odd, good, *odd])
    gate = Gate(served, issuer)

    assert await gate.code(gate.token(issuer)) == ""
    assert set(gate.authenticator._key_sets[issuer]._keys) == {"ec"}


def hanging(served: Issuers) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        await served.released.wait()
        return web.Response()

    return answer


def huge(served: Issuers) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(64):
                await response.write(b" " * 65_536)
        return response

    return answer


def one_byte_and_no_more(served: Issuers) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await served.released.wait()
        return response

    return answer


def moved(served: Issuers) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=302, headers={"Location": served.url("/elsewhere", "other.test")}
        )

    return answer


def plain(body: bytes, status: int = 200, **headers: str) -> Callable[[Issuers], Answer]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return lambda _: answer


ODD_ANSWERS: Final[dict[str, tuple[Callable[[Issuers], Answer], str]]] = {
    "moved": (moved, "it answered 302"),
    "error": (plain(b"{}", 500), "it answered 500"),
    "no-content": (plain(b"", 204), "it answered 204"),
    "no-answer": (hanging, "no answer within 0.3 s"),
    "slow-body": (one_byte_and_no_more, "no answer within 0.3 s"),
    "huge": (huge, f"longer than {DOCUMENT_MAX} bytes"),
    "no-json": (plain(b"<html>"), "not JSON"),
    "empty": (plain(b""), "not JSON"),
    "deep": (plain(b"[" * 200_000), "not JSON"),
    "no-text": (plain(b"\xff\xfe"), "not JSON"),
    "packed": (plain(b"\x1f\x8b\x08", 200, **{"Content-Encoding": "gzip"}), "not JSON"),
    "a-list": (plain(b"[]"), "not a JSON object"),
    "null": (plain(b"null"), "not a JSON object"),
}


@pytest.mark.parametrize("document", ["/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize(("odd", "reason"), ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
async def test_an_answer_that_is_odd_is_an_outage_that_says_why(
    served: Issuers, document: str, odd: Callable[[Issuers], Answer], reason: str
) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    served.answers["/elsewhere"] = served.answers[ENTRA_V2 + document]
    served.answers[ENTRA_V2 + document] = odd(served)

    with pytest.raises(Unavailable, match=reason) as away:
        await served.source(timeout_s=0.3 if "0.3" in reason else 5.0).keys(issuer)

    assert issuer in away.value.message
    assert served.asked["/elsewhere"] == 0


@pytest.mark.parametrize("odd", [plain(b"{}"), plain(b'{"keys": []}'), plain(b'{"keys": 7}')])
async def test_a_set_without_keys_is_an_outage(
    served: Issuers, odd: Callable[[Issuers], Answer]
) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [])
    served.answers[f"{ENTRA_V2}/keys"] = odd(served)
    gate = Gate(served, issuer)

    assert await gate.code(gate.token(issuer)) == "Unavailable"


FOUND_WRONG: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "another-issuer": ({"issuer": "https://evil.test"}, "it says that it is"),
    "the-template-of-entra": ({"issuer": "https://login.test/{tenantid}/v2.0"}, "it says that"),
    "no-issuer": ({"issuer": None}, "it says that it is None"),
    "no-key-url": ({"jwks_uri": None}, "no jwks_uri"),
    "key-url-is-a-list": ({"jwks_uri": ["https://login.test/"]}, "no jwks_uri"),
    "key-url-is-plain": ({"jwks_uri": "http://login.test/keys"}, "not https"),
    "key-url-is-a-file": ({"jwks_uri": "file:///etc/passwd"}, "not https"),
    "key-url-is-no-url": ({"jwks_uri": "https://[x"}, "cannot be had"),
    "key-url-elsewhere": ({"jwks_uri": "https://other.test/keys"}, "at 'other.test'"),
    "key-url-below": ({"jwks_uri": "https://keys.login.test/"}, "at 'keys.login.test'"),
    "key-url-of-the-metadata-service": (
        {"jwks_uri": "https://169.254.169.254/metadata/identity"}, "at '169.254.169.254'"
    ),
    "key-url-with-credentials": ({"jwks_uri": "https://a:b@login.test/keys"}, "may not be asked"),
    "key-url-with-a-backslash": ({"jwks_uri": "https://login.test\\@evil/"}, "cannot be had"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), FOUND_WRONG.values(), ids=FOUND_WRONG.keys())
async def test_what_discovery_says_is_not_believed_beyond_its_issuer(
    served: Issuers, changes: dict[str, Any], reason: str
) -> None:
    issuer = served.url(ENTRA_V2)
    path = f"{ENTRA_V2}/.well-known/openid-configuration"
    good = {"issuer": issuer, "jwks_uri": served.url(f"{ENTRA_V2}/keys")}
    served.answers[path] = a_json(good | changes)

    with pytest.raises(Unavailable, match=reason):
        await served.source().keys(issuer)

    assert dict(served.asked) == {path: 1}


async def test_a_key_host_that_is_listed_is_asked(served: Issuers) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")], key_url=served.url("/keys", "other.test"))

    with pytest.raises(Unavailable, match="key hosts"):
        await served.source().keys(issuer)
    found = await served.source(key_hosts=frozenset({"other.test"})).keys(issuer)

    assert isinstance(found.jwks, dict)


INSIDE = {"private": "10.1.2.3", "loopback": "127.0.0.1", "metadata": "169.254.169.254"}


@pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE.keys())
async def test_an_issuer_inside_a_network_that_is_not_allowed_is_not_asked(
    served: Issuers, address: str
) -> None:
    async def resolve(host: str) -> Sequence[str]:
        return [address]

    with pytest.raises(Unavailable, match="may not be asked") as away:
        await served.source(networks=(), resolve=resolve).keys(served.url(ENTRA_V2))

    assert address not in away.value.message
    assert not served.asked


async def test_an_issuer_without_an_address_is_away(served: Issuers) -> None:
    with pytest.raises(Unavailable, match="cannot be had"):
        await served.source().keys("https://unknown.test")


@pytest.mark.parametrize("fault", ["authority", "name"])
async def test_an_issuer_whose_certificate_is_not_its_own_is_not_believed(
    served: Issuers, fault: str, tmp_path: Path
) -> None:
    host = "login.test" if fault == "authority" else "evil.test"
    issuer = served.url(ENTRA_V2, host)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    other = Authority(tmp_path / "other")

    async def resolve(host: str) -> Sequence[str]:
        return ["127.0.0.1"]

    changes: dict[str, Any] = {"ca_file": other.file} if fault == "authority" else {}
    with pytest.raises(Unavailable, match="certificate is not trusted"):
        await served.source(resolve=resolve, **changes).keys(issuer)

    assert host in NAMES or not served.asked


async def test_authorities_of_the_settings_are_trusted_besides_the_machines(
    served: Issuers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = served.url(ENTRA_V2)
    served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])
    monkeypatch.setenv("SSL_CERT_FILE", str(served.authority.file))  # the machine's

    found = await served.source(ca_file=Authority(tmp_path / "other").file).keys(issuer)

    assert found.jwks == {"keys": [jwk(EC_KEY, "ec", "ES256")]}


async def test_without_tls_only_this_machine_is_asked_and_only_where_the_profile_allows(
    tmp_path: Path,
) -> None:
    async with issuers(tmp_path, scheme="http") as served:
        issuer = served.url("/local", "127.0.0.1")
        served.add(issuer, [jwk(EC_KEY, "ec", "ES256")])

        with pytest.raises(Unavailable, match="expected an issuer of the form https"):
            await served.source(networks=()).keys(issuer)
        found = await served.source(networks=(), plain_loopback=True).keys(issuer)

        assert found.jwks == {"keys": [jwk(EC_KEY, "ec", "ES256")]}


GOOD_ISSUERS = [
    f"https://sts.windows.net/{DIRECTORY}/",
    f"https://login.microsoftonline.com/{DIRECTORY}/v2.0",
    "https://token.actions.githubusercontent.com",
    "https://127.0.0.1:8443/local",
]
BAD_ISSUERS = {
    "plain": "http://login.test",
    "plain-here": "http://127.0.0.1:8080/local",
    "no-scheme": "login.test",
    "no-host": "https://",
    "credentials": "https://ann:pw@login.test",
    "empty-credentials": "https://@login.test",
    "query": "https://login.test?x=1",
    "empty-query": "https://login.test?",
    "fragment": "https://login.test/#x",
    "port": "https://login.test:x",
    "bracket": "https://[x",
    "backslash": "https://login.test\\x",
    "long": "https://login.test/" + "x" * 512,
}


@pytest.mark.parametrize("url", GOOD_ISSUERS)
def test_an_issuer_that_can_be_asked_is_taken(url: str) -> None:
    check_issuer(url)


@pytest.mark.parametrize("url", BAD_ISSUERS.values(), ids=BAD_ISSUERS.keys())
def test_an_issuer_that_cannot_be_asked_is_refused_before_anybody_calls(url: str) -> None:
    with pytest.raises(Invalid, match="issuer"):
        check_issuer(url)


def test_an_issuer_without_tls_is_taken_from_this_machine_in_the_local_profile_only() -> None:
    check_issuer("http://127.0.0.1:8080/local", plain_loopback=True)
    with pytest.raises(Invalid, match="https"):
        check_issuer("http://login.test", plain_loopback=True)
