"""A registry is asked for a digest; what it answers is checked, bounded, and named when wrong."""

import asyncio

import pytest
from aiohttp import web

from shared.images.media_types import IMAGES, INDEX, INDEXES
from shared.images.port import ImageDenied, ImageMissing, ImageNotSupported
from shared.images.reference import parse_reference
from shared.images.registries import Password
from shared.images.registry_client import MANIFEST_MAX
from shared.kernel.errors import Unavailable
from tests.images.registries import (
    CONTENT,
    DIGEST,
    INDEX_CONTENT,
    REPOSITORY,
    Answer,
    Registry,
    client,
    serving,
    status_answer,
)

MANIFESTS = f"/v2/{REPOSITORY}/manifests"


@pytest.mark.parametrize("media_type", IMAGES)
async def test_a_tag_becomes_the_digest_that_the_registry_has_for_it(media_type: str) -> None:
    async with serving(Registry()) as registry:
        digest = registry.put("1", INDEX_CONTENT if media_type in INDEXES else CONTENT, media_type)

        found = await client().resolve(registry.reference())

    assert found == digest
    assert registry.asked == {f"GET {MANIFESTS}/1": 1}


async def test_without_its_word_the_content_says_the_digest() -> None:
    async with serving(Registry(tells_digest=False)) as registry:
        registry.put("1")

        assert await client().resolve(registry.reference()) == DIGEST
    assert registry.asked[f"GET {MANIFESTS}/1"] == 1


async def test_content_that_is_not_what_its_digest_says_is_not_believed() -> None:
    async with serving(Registry(tells_digest=False)) as registry:
        registry.put("1")
        registry.manifests[DIGEST] = (INDEX, b"other")

        with pytest.raises(Unavailable, match="other content"):
            await client().resolve(registry.reference(f"@{DIGEST}"))


async def test_a_registry_that_names_another_digest_than_was_asked_for_is_not_believed() -> None:
    other = "sha256:" + "b" * 64
    async with serving(Registry()) as registry:
        registry.manifests[other] = (INDEX, b"content of another digest")

        with pytest.raises(Unavailable, match="other content"):
            await client().resolve(registry.reference(f"@{other}"))


async def test_an_unknown_tag_is_missing_and_names_registry_and_reference() -> None:
    async with serving(Registry()) as registry:
        with pytest.raises(ImageMissing) as missing:
            await client().resolve(registry.reference(":9"))

    assert f"{registry.host} has no tag 9 of team/web" in missing.value.message
    assert str(registry.reference(":9")) in missing.value.message


async def test_what_is_no_image_is_refused_by_its_type() -> None:
    signed_in_2015 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    async with serving(Registry()) as registry:
        registry.put("1", media_type=signed_in_2015)

        with pytest.raises(ImageNotSupported, match=r"manifest\.v1\+prettyjws"):
            await client().resolve(registry.reference())


@pytest.mark.parametrize(
    ("status", "asked", "waits_s", "throttled"),
    [
        pytest.param(429, {"Retry_After": "17"}, 17.0, True, id="throttles"),
        pytest.param(503, {"Retry_After": "9"}, 9.0, False, id="away-and-says-how-long"),
        pytest.param(500, {}, 5.0, False, id="broken"),
        pytest.param(503, {"Retry_After": "99999"}, 60.0, False, id="asks-for-too-much"),
        pytest.param(307, {"Location": "https://elsewhere.example/"}, 5.0, False, id="redirects"),
    ],
)
async def test_a_registry_that_cannot_answer_is_away_for_as_long_as_it_says(
    status: int,
    asked: dict[str, str],
    waits_s: float,
    throttled: bool,  # noqa: FBT001
) -> None:
    async with serving(Registry()) as registry:
        registry.answers[f"{MANIFESTS}/1"] = status_answer(status, **asked)

        with pytest.raises(Unavailable) as away:
            await client().resolve(registry.reference())

    assert (away.value.retry_after_s, away.value.throttled) == (waits_s, throttled)
    assert registry.host in away.value.message


async def test_nobody_listens_is_away_and_says_so() -> None:
    async with serving(Registry()) as registry:
        pass

    with pytest.raises(Unavailable, match="nothing listens there"):
        await client().resolve(registry.reference())


async def test_an_answer_that_does_not_come_is_waited_for_within_a_bound() -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with serving(Registry()) as registry:
        registry.answers[f"{MANIFESTS}/1"] = silent
        with pytest.raises(Unavailable, match="no answer in time"):
            await client(timeout_s=0.05).resolve(registry.reference())
        never.set()


async def test_a_manifest_without_an_end_is_read_up_to_its_bound() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": INDEX})
        await answer.prepare(request)
        while request.method == "GET":
            await answer.write(b"x" * (1 << 20))
        return answer

    async with serving(Registry()) as registry:
        registry.answers[f"{MANIFESTS}/1"] = endless
        with pytest.raises(Unavailable, match="longer than it may be"):
            await client().resolve(registry.reference())
    assert MANIFEST_MAX == 4 << 20


@pytest.mark.parametrize(
    ("host", "address"),
    [
        pytest.param("169.254.169.254", "169.254.169.254", id="the-metadata-service"),
        pytest.param("registry.example", "127.0.0.1", id="a-name-that-leads-to-this-machine"),
        pytest.param("registry.example", "10.1.2.3", id="a-private-address-that-is-not-named"),
        pytest.param("127.0.0.1:5000", "127.0.0.1", id="this-machine-outside-the-local-profile"),
    ],
)
async def test_addresses_inside_the_network_are_not_asked(host: str, address: str) -> None:
    async def resolve(_: str) -> list[str]:
        return [address]

    guarded = client(plain_loopback=False, networks=(), resolve=resolve)

    with pytest.raises(Unavailable, match="one that may not be asked"):
        await guarded.resolve(parse_reference(f"{host}/web:1"))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:7f00:1"])
async def test_no_registry_leads_its_callers_to_this_machine(address: str) -> None:
    async def resolve(_: str) -> list[str]:
        return [address]

    async with serving(Registry()) as registry:
        port = registry.host.rpartition(":")[2]
        led = client(plain_loopback=True, networks=(), resolve=resolve).authorization.connection

        with pytest.raises(Unavailable, match="one that may not be asked"):
            await led.exchange("GET", f"http://led:{port}/t", "registry.example", at_most=10)

    assert not registry.asked


async def test_a_registry_of_this_machine_may_be_asked_by_the_local_profile() -> None:
    async with serving(Registry()) as registry:
        registry.put("1")

        found = await client(plain_loopback=True, networks=()).resolve(registry.reference())

    assert found == DIGEST


async def test_a_blob_is_fetched_from_storage_without_our_credentials() -> None:
    async with serving(Registry()) as storage, serving(Registry()) as registry:
        digest = storage.put_blob(b"a layer")
        url = f"http://{storage.host}/v2/{REPOSITORY}/blobs/{digest}"
        registry.challenge, registry.takes = 'Basic realm="r"', "Basic dTpw"
        registry.answers[f"/v2/{REPOSITORY}/blobs/{digest}"] = redirect_for("Basic dTpw", url)
        asks = client({registry.host: Password("u", "p")})

        found = await asks.blob(registry.reference(), digest, at_most=100)

    assert found == b"a layer"
    assert registry.told == ["Basic dTpw"]
    assert storage.told == []


async def test_a_blob_that_is_another_is_not_believed() -> None:
    async with serving(Registry()) as registry:
        registry.blobs[DIGEST] = b"other"

        with pytest.raises(Unavailable, match="other content"):
            await client().blob(registry.reference(), DIGEST, at_most=100)


async def test_a_registry_that_lets_nobody_in_says_what_to_check() -> None:
    async with serving(Registry(challenge='Basic realm="r"')) as registry:
        with pytest.raises(ImageDenied, match="the credentials are wrong"):
            await client().resolve(registry.reference())


def redirect_for(takes: str, url: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != takes:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        return web.Response(status=307, headers={"Location": url})

    return answer
