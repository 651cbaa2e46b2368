"""Every kind of bad token is answered 401 with the code of the rule that it breaks."""

import hashlib
import hmac
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from jwt.utils import base64url_encode

from shared.kernel.errors import Denied, Unauthenticated, Unavailable
from shared.web.authentication import LEEWAY_S, FileKeys
from shared.web.issuer import LocalIssuer
from shared.web.key_sets import KEYS_MAX_AGE_S, REFRESH_LEAST_S
from shared.web.problem import render
from tests.kit.seeded_entropy import SeededEntropy
from tests.web.tokens import (
    AUDIENCE,
    ISSUER,
    OTHER_EC_KEY,
    RSA_KEY,
    RSA_PUBLIC_PEM,
    Gate,
    assembled,
    jwk,
    signed,
    with_library,
)


def _raw(header: dict[str, object], claims: dict[str, object], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b".".join(base64url_encode(part) for part in parts).decode()


def _public_key_as_secret(gate: Gate) -> str:
    """Sign with HMAC under the public key, for a verifier that believes the header."""
    header = {"alg": "HS256", "kid": "rsa", "typ": "JWT"}
    head, body = json.dumps(header).encode(), json.dumps(gate.claims()).encode()
    signing = base64url_encode(head) + b"." + base64url_encode(body)
    digest = hmac.new(RSA_PUBLIC_PEM, signing, hashlib.sha256).digest()
    return (signing + b"." + base64url_encode(digest)).decode()


def _bearer(make: Callable[[Gate], str]) -> Callable[[Gate], str]:
    return lambda gate: f"Bearer {make(gate)}"


def _now(gate: Gate) -> int:
    return int(gate.clock.now().timestamp())


def _text_claims(gate: Gate, name: str, text: str) -> str:
    """Sign claims with *text* as the raw JSON of *name*."""
    claims = json.dumps(gate.claims(**{name: "PLACE"})).replace('"PLACE"', text)
    return assembled(b'{"alg": "ES256", "kid": "ec"}', claims.encode())


def _embedded(gate: Gate, **header: object) -> str:
    """Sign with a key of one's own and bring it, or a place to get it from, in the header."""
    head = {"alg": "ES256", "kid": "ec", **header}
    return assembled(json.dumps(head).encode(), json.dumps(gate.claims()).encode(), OTHER_EC_KEY)


NOT_BEARER: dict[str, tuple[Callable[[Gate], str | None], str]] = {
    "none": (lambda _: None, "NoToken"),
    "empty": (lambda _: "", "MalformedToken"),
    "scheme-only": (lambda _: "Bearer", "MalformedToken"),
    "scheme-and-space": (lambda _: "Bearer ", "MalformedToken"),
    "basic": (lambda _: "Basic YW5uOnNlY3JldA==", "MalformedToken"),
    "bare-token": (lambda gate: gate.token(), "MalformedToken"),
    "two-tokens": (lambda gate: f"Bearer {gate.token()} {gate.token()}", "MalformedToken"),
    "two-schemes": (lambda gate: f"Bearer Bearer {gate.token()}", "MalformedToken"),
    "two-headers-joined": (
        lambda gate: f"Bearer {gate.token()}, Bearer {gate.token()}",
        "MalformedToken",
    ),
    "leading-space": (lambda gate: f"Bearer  {gate.token()}", "MalformedToken"),
    "trailing-space": (lambda gate: f"Bearer {gate.token()} ", "MalformedToken"),
    "not-ascii": (lambda gate: f"Bearer {gate.token()}é", "MalformedToken"),
    "lone-surrogate": (lambda gate: f"Bearer {gate.token()}\ud800", "MalformedToken"),
    "oversized": (lambda gate: f"Bearer {gate.token(filler='x' * 17_000)}", "MalformedToken"),
}
MALFORMED: dict[str, tuple[Callable[[Gate], str], str]] = {
    "garbage": (lambda _: "garbage", "MalformedToken"),
    "dots": (lambda _: "..", "MalformedToken"),
    "two-parts": (lambda gate: gate.token().rpartition(".")[0], "MalformedToken"),
    "four-parts": (lambda gate: gate.token() + ".x", "MalformedToken"),
    "no-base64": (lambda gate: "!" + gate.token(), "MalformedToken"),
    "truncated-claims": (
        lambda gate: ".".join((gate.token().split(".")[0], "eyJpc3Mi", gate.token().split(".")[2])),
        "InvalidToken",
    ),
    "truncated-signature": (lambda gate: gate.token()[:-10], "BadSignature"),
    "no-signature": (lambda gate: gate.token().rpartition(".")[0] + ".", "BadSignature"),
    "tab-inside": (lambda gate: gate.token().replace(".", ".\t", 1), "MalformedToken"),
    "newline-at-the-end": (lambda gate: gate.token() + "\n", "MalformedToken"),
    "deep-header": (
        lambda gate: assembled(b'{"alg":' + b"[" * 4000, json.dumps(gate.claims()).encode()),
        "MalformedToken",
    ),
    "deep-claims": (
        lambda _: assembled(b'{"alg":"ES256","kid":"ec"}', b"[" * 8000),
        "InvalidToken",
    ),
    "header-is-an-array": (lambda _: assembled(b"[]", b"{}"), "MalformedToken"),
    "claims-are-an-array": (
        lambda _: assembled(b'{"alg":"ES256","kid":"ec"}', b"[]"),
        "InvalidToken",
    ),
    "claims-are-no-json": (
        lambda _: assembled(b'{"alg":"ES256","kid":"ec"}', b"claims"),
        "InvalidToken",
    ),
    "detached-payload": (lambda gate: gate.token({"b64": False}), "MalformedToken"),
}
SIGNED_WRONG: dict[str, tuple[Callable[[Gate], str], str]] = {
    "alg-none": (
        lambda gate: _raw({"alg": "none", "kid": "ec"}, gate.claims()),
        "AlgorithmNotAllowed",
    ),
    "alg-None-with-signature": (
        lambda gate: _raw({"alg": "None", "kid": "ec"}, gate.claims(), b"x" * 64),
        "AlgorithmNotAllowed",
    ),
    "alg-missing": (lambda gate: gate.token({"alg": None}), "AlgorithmNotAllowed"),
    "alg-is-a-list": (lambda gate: gate.token({"alg": ["ES256"]}), "AlgorithmNotAllowed"),
    "alg-lower-case": (lambda gate: gate.token({"alg": "es256"}), "AlgorithmNotAllowed"),
    "public-key-as-secret": (_public_key_as_secret, "AlgorithmNotAllowed"),
    "hmac": (
        lambda gate: with_library(gate.claims(), "s" * 64, "HS256", kid="ec"),
        "AlgorithmNotAllowed",
    ),
    "rsa-pss": (
        lambda gate: with_library(gate.claims(), RSA_KEY, "PS256", kid="rsa"),
        "AlgorithmNotAllowed",
    ),
    "rsa-512": (
        lambda gate: with_library(gate.claims(), RSA_KEY, "RS512", kid="rsa"),
        "AlgorithmNotAllowed",
    ),
    "algorithm-of-another-key": (
        lambda gate: with_library(gate.claims(), RSA_KEY, "RS256", kid="ec"),
        "AlgorithmMismatch",
    ),
    "kid-missing": (lambda gate: gate.token({"kid": None}), "NoKeyId"),
    "kid-empty": (lambda gate: gate.token({"kid": ""}), "NoKeyId"),
    "kid-is-an-object": (lambda gate: gate.token({"kid": {"a": 1}}), "MalformedToken"),
    "kid-unknown": (lambda gate: gate.token({"kid": "other"}), "UnknownKey"),
    "kid-is-a-path": (lambda gate: gate.token({"kid": "../../dev/null"}), "UnknownKey"),
    "kid-is-sql": (lambda gate: gate.token({"kid": "' OR 1=1 --"}), "UnknownKey"),
    "key-of-somebody-else": (_embedded, "BadSignature"),
    "jwk-in-the-header": (
        lambda gate: _embedded(gate, jwk=jwk(OTHER_EC_KEY, "ec", "ES256")),
        "BadSignature",
    ),
    "jku-in-the-header": (lambda gate: _embedded(gate, jku="https://evil.example"), "BadSignature"),
    "x5u-in-the-header": (lambda gate: _embedded(gate, x5u="https://evil.example"), "BadSignature"),
    "x5c-in-the-header": (lambda gate: _embedded(gate, x5c=["MIIB"]), "BadSignature"),
    "crit": (lambda gate: gate.token({"crit": ["exp"]}), "MalformedToken"),
    "crit-empty": (lambda gate: gate.token({"crit": []}), "MalformedToken"),
    "claims-changed": (
        lambda gate: (
            gate.token().split(".")[0]
            + "."
            + base64url_encode(json.dumps(gate.claims(tenantId="globex")).encode()).decode()
            + "."
            + gate.token().split(".")[2]
        ),
        "BadSignature",
    ),
}
CLAIMED_WRONG: dict[str, tuple[Callable[[Gate], str], str]] = {
    "expired": (lambda gate: gate.token(exp=_now(gate) - LEEWAY_S), "TokenExpired"),
    "not-yet": (lambda gate: gate.token(nbf=_now(gate) + LEEWAY_S + 1), "TokenNotYetValid"),
    "issued-later": (lambda gate: gate.token(iat=_now(gate) + LEEWAY_S + 1), "TokenNotYetValid"),
    "exp-missing": (lambda gate: gate.token(exp=None), "MissingClaim"),
    "iat-missing": (lambda gate: gate.token(iat=None), "MissingClaim"),
    "exp-is-text": (lambda gate: gate.token(exp="9999999999"), "MalformedToken"),
    "exp-is-true": (lambda gate: gate.token(exp=True), "MalformedToken"),
    "exp-is-null": (lambda gate: _text_claims(gate, "exp", "null"), "MissingClaim"),
    "exp-is-NaN": (lambda gate: _text_claims(gate, "exp", "NaN"), "MalformedToken"),
    "exp-is-infinite": (lambda gate: _text_claims(gate, "exp", "Infinity"), "MalformedToken"),
    "exp-overflows": (lambda gate: _text_claims(gate, "exp", "1e999"), "MalformedToken"),
    "exp-has-400-digits": (lambda gate: _text_claims(gate, "exp", "9" * 400), "MalformedToken"),
    "exp-in-milliseconds": (lambda gate: gate.token(exp=_now(gate) * 1000), "MalformedToken"),
    "exp-is-negative": (lambda gate: gate.token(exp=-1), "MalformedToken"),
    "nbf-is-text": (lambda gate: gate.token(nbf="0"), "MalformedToken"),
    "iat-is-a-list": (lambda gate: gate.token(iat=[0]), "MalformedToken"),
    "aud-missing": (lambda gate: gate.token(aud=None), "MissingClaim"),
    "aud-of-another": (lambda gate: gate.token(aud="api://other"), "WrongAudience"),
    "aud-has-another-too": (
        lambda gate: gate.token(aud=[AUDIENCE, "api://other"]),
        "WrongAudience",
    ),
    "aud-is-it-twice": (lambda gate: gate.token(aud=[AUDIENCE, AUDIENCE]), "WrongAudience"),
    "aud-is-an-empty-list": (lambda gate: gate.token(aud=[]), "MissingClaim"),
    "aud-is-a-list-of-a-list": (lambda gate: gate.token(aud=[[AUDIENCE]]), "WrongAudience"),
    "aud-is-a-prefix": (lambda gate: gate.token(aud="api://factory"), "WrongAudience"),
    "aud-is-a-number": (lambda gate: gate.token(aud=1), "WrongAudience"),
    "iss-missing": (lambda gate: gate.token(iss=None), "MissingClaim"),
    "iss-of-another": (lambda gate: gate.token(iss="https://evil.example"), "WrongIssuer"),
    "iss-is-a-prefix": (lambda gate: gate.token(iss="https://issuer.example"), "WrongIssuer"),
    "iss-is-a-list": (lambda gate: gate.token(iss=["https://issuer.example/v2.0"]), "WrongIssuer"),
    "sub-missing": (lambda gate: gate.token(sub=None), "MissingClaim"),
    "sub-is-a-number": (lambda gate: gate.token(sub=7), "InvalidToken"),
    "tenant-missing": (lambda gate: gate.token(tenantId=None), "NoTenant"),
    "tenant-empty": (lambda gate: gate.token(tenantId=""), "NoTenant"),
    "tenant-is-a-list": (lambda gate: gate.token(tenantId=["acme"]), "NoTenant"),
    "tenant-is-a-number": (lambda gate: gate.token(tenantId=1), "NoTenant"),
    "tenant-is-the-platform-s": (lambda gate: gate.token(tenantId="-platform"), "NoTenant"),
    "tenant-has-a-separator": (lambda gate: gate.token(tenantId="acme/globex"), "NoTenant"),
    "tenant-is-longer-than-a-label": (lambda gate: gate.token(tenantId="a" * 64), "NoTenant"),
    "tenant-is-no-ascii": (lambda gate: gate.token(tenantId="аcme"), "NoTenant"),  # noqa: RUF001
    "tenant-ends-in-a-newline": (lambda gate: gate.token(tenantId="acme\n"), "NoTenant"),
    "tenant-in-the-claim-of-a-directory": (
        lambda gate: gate.token(tenantId=None, tid="acme"),
        "NoTenant",
    ),
}
BAD = NOT_BEARER | {
    name: (_bearer(make), code)
    for name, (make, code) in (MALFORMED | SIGNED_WRONG | CLAIMED_WRONG).items()
}


async def test_a_bearer_token_of_another_form_is_told_so_and_not_that_it_is_no_bearer() -> None:
    with pytest.raises(Unauthenticated, match="the token is no JWT"):
        await Gate().authenticator.authenticate("Bearer abc", None)


def test_there_are_at_least_forty_kinds() -> None:
    assert len(BAD) == len(NOT_BEARER) + len(MALFORMED) + len(SIGNED_WRONG) + len(CLAIMED_WRONG)
    assert len(BAD) >= 40


@pytest.mark.parametrize(("make", "code"), BAD.values(), ids=BAD.keys())
async def test_a_bad_token_is_answered_401_with_its_code(
    make: Callable[[Gate], str | None], code: str
) -> None:
    gate = Gate()

    with pytest.raises(Unauthenticated) as refused:
        await gate.authenticator.authenticate(make(gate), None)

    answer = render(refused.value, "trace-1")
    assert refused.value.code == code
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.headers["x-ms-error-code"] == code


@pytest.mark.parametrize("kid", ["ec", "rsa"])
async def test_a_good_token_gives_the_scope_it_proves(kid: str) -> None:
    gate = Gate()
    claims = gate.claims(preferred_username="ann@acme.example")
    token = signed(claims) if kid == "ec" else with_library(claims, RSA_KEY, "RS256", kid="rsa")

    scope = await gate.authenticator.authenticate(f"bearer {token}", "acme")

    assert (scope.tenant, scope.caller) == ("acme", "user:ann@acme.example")
    assert scope.allows("runtime.environments.read")
    assert not scope.allows("runtime.environments.write")


async def test_an_audience_may_be_a_list_of_that_one() -> None:
    gate = Gate()

    scope = await gate.authenticator.authenticate(f"Bearer {gate.token(aud=[AUDIENCE])}", None)

    assert scope.tenant == "acme"


async def test_delegated_scopes_grant_what_they_name_and_nothing_unknown() -> None:
    gate = Gate()
    token = gate.token(roles=None, scp="runtime.drift.read openid runtime.everything")

    scope = await gate.authenticator.authenticate(f"Bearer {token}", None)

    assert scope.permissions == {"runtime.drift.read"}


@pytest.mark.parametrize("roles", ["Runtime.Admin", [["Runtime.Admin"]], {"Runtime.Admin": 1}, [1]])
async def test_roles_of_another_shape_grant_nothing(roles: object) -> None:
    gate = Gate()

    scope = await gate.authenticator.authenticate(f"Bearer {gate.token(roles=roles)}", None)

    assert scope.permissions == frozenset()


async def test_a_caller_s_name_is_one_printable_line() -> None:
    gate = Gate()
    token = gate.token(preferred_username="ann\nroot\x1b[2J" + "x" * 500)

    scope = await gate.authenticator.authenticate(f"Bearer {token}", None)

    assert scope.caller.isprintable()
    assert len(scope.caller) < 150


async def test_clocks_may_differ_by_the_leeway_which_is_at_most_a_minute() -> None:
    gate = Gate()
    now = _now(gate)
    token = gate.token(iat=now + LEEWAY_S, nbf=now + LEEWAY_S, exp=now - LEEWAY_S + 1)

    await gate.authenticator.authenticate(f"Bearer {token}", None)

    assert LEEWAY_S <= 60


async def test_another_tenant_in_the_header_is_denied() -> None:
    gate = Gate()

    with pytest.raises(Denied) as denied:
        await gate.authenticator.authenticate(f"Bearer {gate.token()}", "globex")

    assert denied.value.code == "TenantMismatch"


async def test_an_unknown_key_asks_for_the_set_again_but_not_more_often_than_allowed() -> None:
    gate = Gate()
    await gate.authenticator.authenticate(f"Bearer {gate.token()}", None)
    gate.keys.served = [jwk(OTHER_EC_KEY, "new", "ES256")]
    rolled = assembled(
        b'{"alg":"ES256","kid":"new"}', json.dumps(gate.claims()).encode(), OTHER_EC_KEY
    )

    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await gate.authenticator.authenticate(f"Bearer {rolled}", None)
    asked_while_limited = gate.keys.asked
    gate.clock.pass_by(REFRESH_LEAST_S)
    await gate.authenticator.authenticate(f"Bearer {rolled}", None)

    assert (asked_while_limited, gate.keys.asked) == (1, 2)


@pytest.mark.parametrize("is_new", [True, False], ids=["a-new-token", "a-token-verified-before"])
async def test_a_key_taken_out_of_the_set_is_refused_after_ten_minutes(*, is_new: bool) -> None:
    gate = Gate()
    token = gate.token()
    await gate.authenticator.authenticate(f"Bearer {token}", None)
    gate.keys.served = [jwk(RSA_KEY, "rsa", "RS256")]

    gate.clock.at += timedelta(seconds=KEYS_MAX_AGE_S)

    with pytest.raises(Unauthenticated) as refused:
        await gate.authenticator.authenticate(f"Bearer {gate.token() if is_new else token}", None)
    assert refused.value.code == "UnknownKey"


async def test_a_token_verified_before_is_refused_when_it_expires() -> None:
    gate = Gate()
    token = gate.token(exp=_now(gate) + 60)
    await gate.authenticator.authenticate(f"Bearer {token}", None)

    gate.clock.pass_by(60 + LEEWAY_S)

    with pytest.raises(Unauthenticated) as refused:
        await gate.authenticator.authenticate(f"Bearer {token}", None)
    assert refused.value.code == "TokenExpired"


async def test_of_the_tokens_that_were_verified_the_latest_are_remembered() -> None:
    gate = Gate()
    for number in range(1002):
        token = gate.token(sub=f"app-{number}", preferred_username=None)
        scope = await gate.authenticator.authenticate(f"Bearer {token}", None)

        assert scope.caller == f"app:app-{number}"
    assert len(gate.authenticator._proofs) == 1000


@pytest.mark.parametrize("use", ["enc"])
async def test_a_key_for_encryption_verifies_nothing(use: str) -> None:
    gate = Gate()
    gate.keys.served[0]["use"] = use

    with pytest.raises(Unauthenticated) as refused:
        await gate.authenticator.authenticate(f"Bearer {gate.token()}", None)
    assert refused.value.code == "UnknownKey"


async def test_without_an_issuer_the_caller_is_told_how_to_get_one(tmp_path: Path) -> None:
    gate = Gate()
    gate.authenticator.keys = FileKeys(tmp_path / "jwks.json")

    with pytest.raises(Unauthenticated) as refused:
        await gate.authenticator.authenticate(f"Bearer {gate.token()}", None)

    assert refused.value.code == "NoIssuer"
    assert "runtimectl login" in refused.value.message


DAMAGED = [
    b"", b"[]", b"{", b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}', b"7", b"\xff\x00",
    b"[" * 100_000, b'{"keys": {"a": 1}}', b'{"keys": [{"kty": "EC", "crv": "P-256", "x": 7}]}',
    b'{"keys": [null]}', b'{"keys": [{"kty": "RSA", "n": "AQ", "e": "AQ", "kid": "k"}]}',
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
async def test_a_key_set_that_is_none_is_an_outage_that_says_what_to_do(
    content: bytes, tmp_path: Path
) -> None:
    gate = Gate()
    (tmp_path / "jwks.json").write_bytes(content)
    gate.authenticator.keys = FileKeys(tmp_path / "jwks.json")

    with pytest.raises(Unavailable, match="runtimectl login --dev"):
        await gate.authenticator.authenticate(f"Bearer {gate.token()}", None)


@pytest.mark.parametrize("name", ["jwks.json", "key.pem"])
@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
async def test_a_login_over_a_damaged_key_makes_a_new_one(
    content: bytes, name: str, tmp_path: Path
) -> None:
    gate = Gate()
    issuer = LocalIssuer(tmp_path, ISSUER, AUDIENCE, gate.clock, SeededEntropy(1))
    issuer.token("acme", "ann", ["Runtime.Deploy"])
    (tmp_path / name).write_bytes(content)
    gate.authenticator.keys = FileKeys(tmp_path / "jwks.json")

    token = issuer.token("acme", "ann", ["Runtime.Deploy"])

    scope = await gate.authenticator.authenticate(f"Bearer {token}", None)
    assert scope.tenant == "acme"


async def test_first_logins_at_the_same_time_share_one_key(tmp_path: Path) -> None:
    gate = Gate()

    def login(seed: int) -> str:
        entropy = SeededEntropy(seed)
        issuer = LocalIssuer(tmp_path, ISSUER, AUDIENCE, gate.clock, entropy)
        return issuer.token("acme", "ann", ["Runtime.Deploy"])

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(login, range(8)))

    gate.authenticator.keys = FileKeys(tmp_path / "jwks.json")
    for token in tokens:
        assert (await gate.authenticator.authenticate(f"Bearer {token}", None)).tenant == "acme"


async def test_a_key_set_that_is_away_for_a_while_is_used_as_it_was(tmp_path: Path) -> None:
    gate = Gate()
    await gate.authenticator.authenticate(f"Bearer {gate.token()}", None)
    gate.authenticator.keys = FileKeys(tmp_path)
    gate.clock.pass_by(KEYS_MAX_AGE_S)

    scope = await gate.authenticator.authenticate(f"Bearer {gate.token()}", None)

    assert scope.tenant == "acme"


async def test_the_local_issuer_s_tokens_are_good_and_its_key_is_its_own(tmp_path: Path) -> None:
    gate = Gate()
    issuer = LocalIssuer(tmp_path, ISSUER, AUDIENCE, gate.clock, SeededEntropy(1))
    token = issuer.token("acme", "ann", ["Runtime.Deploy"])
    gate.authenticator.keys = FileKeys(tmp_path / "jwks.json")

    scope = await gate.authenticator.authenticate(f"Bearer {token}", "acme")

    assert scope.allows("runtime.deployments.write")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert "d" not in json.loads((tmp_path / "jwks.json").read_text())["keys"][0]
