"""What the client says of a real registry is what its own tool says."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.images.port import ImageDenied, ImageMissing
from shared.images.reference import parse_reference
from shared.images.registries import Password
from tests.images.registries import client
from tests.kit.real_registry import (
    PASSWORD,
    USERNAME,
    common_registry,
    crane_says,
    registry_on_loopback,
)

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=["crane", "common"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Serve a registry of each kind that has `web:1`, by crane."""
    folder: Path = tmp_path_factory.mktemp("registry")
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        archive.addfile(tarfile.TarInfo("file"), io.BytesIO())
    served = registry_on_loopback() if request.param == "crane" else common_registry(folder)
    with served as address:
        crane_says("append", "--oci-empty-base", "-f", str(layer), "-t", f"{address}/team/web:1")
        yield address


async def test_a_tag_and_a_digest_are_found(registry: str) -> None:
    reference = parse_reference(f"{registry}/team/web:1")

    found = await client().resolve(reference)

    assert found == crane_says("digest", str(reference))
    assert await client().resolve(reference.pinned(found)) == found
    assert (await client().manifest(reference.pinned(found))).digest == found
    assert await client().referrers(reference.pinned(found)) == []


@pytest.mark.parametrize("name", ["team/web:2", "team/none:1", "team/web@sha256:" + "0" * 64])
async def test_what_is_not_there_is_missing(registry: str, name: str) -> None:
    with pytest.raises(ImageMissing, match=registry):
        await client().resolve(parse_reference(f"{registry}/{name}"))


async def test_a_registry_that_asks_for_a_password_gets_it(tmp_path: Path) -> None:
    with common_registry(tmp_path, asks_password=True) as registry:
        reference = parse_reference(f"{registry}/team/web:1")
        known = client({registry: Password(USERNAME, PASSWORD)})

        with pytest.raises(ImageMissing):
            await known.resolve(reference)
        for wrong in (client(), client({registry: Password(USERNAME, "another")})):
            with pytest.raises(ImageDenied):
                await wrong.resolve(reference)
