"""The registries in memory that other tests use answer as the client of real ones does."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from shared.images.port import ImageMissing, Images
from shared.images.reference import ImageReference, parse_reference
from tests.images.registries import REPOSITORY, Registry, client, serving
from tests.kit.memory_images import MemoryImages, manifest_of

CONTENT = "an image"
DIGEST = f"sha256:{hashlib.sha256(manifest_of(CONTENT)).hexdigest()}"
OTHER = "sha256:" + "0" * 64


@pytest.fixture(params=["memory", "http"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Images, ImageReference]]:
    """Give registries with one image, and its reference."""
    if request.param == "memory":
        memory, tagged = MemoryImages(), f"registry.example/{REPOSITORY}:1"
        memory.push(tagged, CONTENT)
        yield memory, parse_reference(tagged)
        return
    async with serving(Registry()) as registry:
        registry.put("1", manifest_of(CONTENT))
        yield client(), registry.reference()


async def test_tag_and_digest_name_the_same_image(kept: tuple[Images, ImageReference]) -> None:
    images, reference = kept

    assert await images.resolve(reference) == DIGEST
    assert await images.resolve(reference.pinned(DIGEST)) == DIGEST
    assert (await images.manifest(reference)).body == manifest_of(CONTENT)
    assert await images.referrers(reference.pinned(DIGEST)) == []


async def test_what_is_not_there_is_missing(kept: tuple[Images, ImageReference]) -> None:
    images, reference = kept

    for absent in (reference.pinned(OTHER), parse_reference(f"{reference.name}:2")):
        with pytest.raises(ImageMissing, match=reference.registry):
            await images.resolve(absent)
    with pytest.raises(ImageMissing, match=reference.registry):
        await images.blob(reference, OTHER, at_most=10)
