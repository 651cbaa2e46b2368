"""An image is pushed in bounded parts, its manifest last, to the registry alone."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from shared.images.build import Base, architecture
from shared.images.layer import TextFile
from shared.images.layout import Layout
from shared.images.media_types import INDEX, MANIFEST
from shared.images.port import ImageDenied, ImageNotSupported
from shared.images.pull import pull_base
from shared.images.push import CHUNK_BYTES, push_image
from shared.images.reference import parse_reference
from shared.kernel.errors import Unavailable
from tests.images.built import documents, image, members, program
from tests.images.registries import (
    REPOSITORY,
    Registry,
    client,
    json_answer,
    serving,
    status_answer,
)
from tests.kit.real_registry import common_registry, crane_says, registry_on_loopback

UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"


@pytest.fixture(scope="module", params=["crane", "common"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Serve a registry of each kind; give its host and port."""
    served = (
        registry_on_loopback()
        if request.param == "crane"
        else common_registry(tmp_path_factory.mktemp("registry"))
    )
    with served as address:
        yield address


def large(folder: Path) -> Path:
    """Write a file that stays larger than two parts when it is packed."""
    folder.mkdir()
    (folder / "noise").write_bytes(hashlib.shake_256(b"").digest(2 * CHUNK_BYTES + 17))
    return folder / "noise"


@pytest.mark.real
async def test_a_real_registry_has_what_was_built(registry: str, tmp_path: Path) -> None:
    files = {**program(tmp_path / "one"), "app/noise": large(tmp_path / "two")}
    built = image(tmp_path / "image", files, entrypoint=["/app/b.py"])
    reference = parse_reference(f"{registry}/team/large:1")

    pushed = await push_image(client(), Layout(built.folder), reference)

    assert pushed == built.digest == crane_says("digest", str(reference))
    crane_says("validate", "--remote", str(reference))
    assert await push_image(client(), Layout(built.folder), reference) == built.digest


@pytest.mark.real
async def test_an_image_of_a_registry_is_a_base(registry: str, tmp_path: Path) -> None:
    below = image(tmp_path / "below", program(tmp_path / "one"), environ={"LANG": "C.UTF-8"})
    reference = parse_reference(f"{registry}/team/base:1")
    await push_image(client(), Layout(below.folder), reference)
    target = Layout(tmp_path / "above")
    target.make()

    base = await pull_base(client(), reference.pinned(below.digest), target, architecture())
    above = image(target.folder, {"app/more": TextFile("more")}, base, environ={"A": "b"})

    assert members(below).keys() | {"app/more"} == members(above).keys()
    assert documents(above)[1]["config"]["Env"] == ["A=b", "LANG=C.UTF-8"]
    pushed = parse_reference(f"{registry}/team/above:1")
    assert await push_image(client(), target, pushed) == above.digest
    crane_says("validate", "--remote", str(pushed))


async def test_the_base_of_an_index_is_that_of_the_processor(tmp_path: Path) -> None:
    async with serving(Registry()) as registry:
        rows = [{"platform": {"os": "linux", "architecture": "s390x"}, "digest": "sha256:0"}]
        index = json.dumps({"manifests": rows}).encode()
        digest = registry.put("1", index, INDEX)

        with pytest.raises(ImageNotSupported, match="no image for linux/amd64"):
            await pull_base(client(), registry.reference(f"@{digest}"), Layout(tmp_path), "amd64")


def json_of_depth(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("size", ["-1", "1.5", "Infinity", "1e999", "true", '"7"', "null"])
async def test_a_base_whose_layers_have_no_size_is_refused(size: str, tmp_path: Path) -> None:
    async with serving(Registry()) as registry:
        config = registry.put_blob(b'{"config": {}, "rootfs": {"diff_ids": ["sha256:1"]}}')
        layer = f'{{"mediaType": "x", "digest": "{config}", "size": {size}}}'
        manifest = f'{{"config": {{"digest": "{config}"}}, "layers": [{layer}]}}'
        digest = registry.put("1", manifest.encode())

        with pytest.raises(ImageNotSupported, match="a manifest that is none"):
            await pull_base(client(), registry.reference(f"@{digest}"), Layout(tmp_path), "amd64")


@pytest.mark.parametrize("media_type", [MANIFEST, INDEX])
async def test_a_base_that_is_nested_without_end_is_refused(
    media_type: str, tmp_path: Path
) -> None:
    async with serving(Registry()) as registry:
        digest = registry.put("1", json_of_depth(100_000), media_type)

        with pytest.raises(ImageNotSupported, match="that is none"):
            await pull_base(client(), registry.reference(f"@{digest}"), Layout(tmp_path), "amd64")


@pytest.mark.parametrize("variable", ["null", "7", '"=x"', '"A"', '"A=\\u0000"'])
async def test_a_base_with_a_variable_that_is_none_is_refused(
    variable: str, tmp_path: Path
) -> None:
    async with serving(Registry()) as registry:
        config = registry.put_blob(
            f'{{"config": {{"Env": [{variable}]}}, "rootfs": {{"diff_ids": []}}}}'.encode()
        )
        manifest = f'{{"config": {{"digest": "{config}"}}, "layers": []}}'
        digest = registry.put("1", manifest.encode())

        with pytest.raises(ImageNotSupported, match="a manifest that is none"):
            await pull_base(client(), registry.reference(f"@{digest}"), Layout(tmp_path), "amd64")


async def test_a_base_whose_layers_lead_elsewhere_is_refused(tmp_path: Path) -> None:
    async with serving(Registry()) as registry:
        config = registry.put_blob(json.dumps(
            {"config": {}, "rootfs": {"diff_ids": ["sha256:1"]}}
        ).encode())  # fmt: skip
        layer = {"mediaType": "x", "digest": "sha256:../../../x", "size": 1}
        manifest = {"config": {"digest": config}, "layers": [layer]}
        digest = registry.put("1", json.dumps(manifest).encode())
        reference = registry.reference(f"@{digest}")

        with pytest.raises(ImageNotSupported, match="a manifest that is none"):
            await pull_base(client(), reference, Layout(tmp_path), "amd64")


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ImageDenied), (403, ImageDenied), (405, ImageDenied), (429, Unavailable)],
)
async def test_a_registry_that_does_not_take_it_is_named(
    status: int, error: type[Exception], tmp_path: Path
) -> None:
    built = image(tmp_path / "image", program(tmp_path / "one"))
    async with serving(Registry()) as registry:
        registry.answers[UPLOADS] = status_answer(status)

        with pytest.raises(error, match=registry.host):
            await push_image(client(), Layout(built.folder), registry.reference())


async def test_uploads_stay_at_the_registry_as_its_credentials_do(tmp_path: Path) -> None:
    built = image(tmp_path / "image", program(tmp_path / "one"))
    async with serving(Registry()) as other, serving(Registry()) as registry:
        elsewhere = f"http://{other.host}/upload"
        registry.answers[UPLOADS] = status_answer(202, Location=elsewhere)

        with pytest.raises(Unavailable, match="another host"):
            await push_image(client(), Layout(built.folder), registry.reference())

    assert other.asked.total() == 0


async def test_a_token_for_pushing_is_asked_for(tmp_path: Path) -> None:
    built = image(tmp_path / "image", program(tmp_path / "one"))
    scopes: list[str] = []

    async def token(request: web.Request) -> web.StreamResponse:
        scopes.append(request.query["scope"])
        return web.json_response({"token": "t"})

    async with serving(Registry(takes="Bearer t")) as registry:
        registry.challenge = f'Bearer realm="http://{registry.host}/token"'
        registry.answers["/token"] = token
        with pytest.raises(ImageDenied):
            await push_image(client(), Layout(built.folder), registry.reference())

    assert scopes == [f"repository:{REPOSITORY}:pull,push"]


async def test_a_registry_that_keeps_something_else_is_not_believed(tmp_path: Path) -> None:
    built = image(tmp_path / "image", {})
    async with serving(Registry()) as registry:
        for blob in Layout(built.folder).manifest()[1]:
            registry.put_blob(Layout(built.folder).blob(blob.digest).read_bytes())
        other = {"Docker-Content-Digest": "sha256:" + "0" * 64}
        registry.answers[f"/v2/{REPOSITORY}/manifests/1"] = json_answer({}, 201, **other)

        with pytest.raises(Unavailable, match="has kept"):
            await push_image(client(), Layout(built.folder), registry.reference())


def test_a_base_without_layers_is_one(tmp_path: Path) -> None:
    built = image(tmp_path / "image", program(tmp_path / "one"), Base(environ={"A": "b"}))

    assert documents(built)[1]["config"]["Env"] == ["A=b"]
