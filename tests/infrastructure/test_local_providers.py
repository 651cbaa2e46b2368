"""What local resources are on the disk and on the surface."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from local_cloud.infrastructure.local_providers import SiteProvider, VolumeProvider
from shared.infrastructure.graph import Node, Resource, Urn
from shared.infrastructure.inputs import ComputeTargetInput, DataResourceInput
from shared.infrastructure.local_program import SITE, VOLUME
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.fence import StaleFence
from shared.kernel.observation import Absent, Present, Unknown
from shared.persistence.plain_files import read_plain, write_new
from tests.infrastructure.installations import FENCE, LATER, STACK, inputs
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_engine import local_graph
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy

DATA = Resource(
    Urn("urn:volume"), VOLUME, "data-data", {"site": "env-a", "volume": "data", "settings": {}}
)


def nodes(resource_type: str, **changed: object) -> tuple[Node, ...]:
    graph = local_graph(STACK, inputs(**changed))
    return tuple(node for node in graph.nodes if node.type == resource_type)


async def test_a_volume_is_a_folder_whose_content_survives_every_update(tmp_path: Path) -> None:
    volumes = VolumeProvider(tmp_path)
    assert await volumes.read(DATA) == Absent()

    live = await volumes.put(DATA, FENCE)
    (Path(live.outputs["path"]) / "rows").write_text("1")
    tagged = replace(DATA, properties={**DATA.properties, "tags": {"a": "b"}})
    again = await volumes.put(tagged, LATER)

    assert await volumes.read(tagged) == Present(again)
    assert again.properties == tagged.properties
    assert (Path(again.outputs["path"]) / "rows").read_text() == "1"


async def test_a_stale_fence_changes_no_volume_even_after_its_deletion(tmp_path: Path) -> None:
    volumes = VolumeProvider(tmp_path)
    await volumes.put(DATA, LATER)

    with pytest.raises(StaleFence):
        await volumes.delete(DATA, FENCE)
    assert isinstance(await volumes.read(DATA), Present)

    await volumes.delete(DATA, LATER)
    with pytest.raises(StaleFence):
        await volumes.put(DATA, FENCE)
    assert await volumes.read(DATA) == Absent()


async def test_a_deletion_that_was_killed_half_way_is_ended_by_the_next(tmp_path: Path) -> None:
    volumes = VolumeProvider(tmp_path)
    live = await volumes.put(DATA, FENCE)
    folder = Path(live.outputs["path"])
    (folder / "rows").write_text("1")
    await asyncio.to_thread(folder.rename, folder.with_name(".data.deleted"))

    await volumes.delete(DATA, FENCE)

    assert [path.name for path in folder.parent.iterdir()] == ["data.volume.json"]
    await volumes.delete(DATA, FENCE)


async def test_a_link_in_the_place_of_a_volume_is_none_and_goes_with_it(tmp_path: Path) -> None:
    volumes = VolumeProvider(tmp_path / "volumes")
    live = await volumes.put(DATA, FENCE)
    folder, elsewhere = Path(live.outputs["path"]), tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.joinpath("kept").touch()
    await asyncio.to_thread(folder.rename, tmp_path / "before")
    await asyncio.to_thread(folder.symlink_to, elsewhere)

    assert await volumes.read(DATA) == Absent()
    with pytest.raises(Unavailable, match="a link stands in the place of its folder"):
        await volumes.put(DATA, FENCE)
    await volumes.delete(DATA, FENCE)

    assert [path.name for path in folder.parent.iterdir()] == ["data.volume.json"]
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]


def _malformed(note: Path) -> None:
    note.write_text("{")


def _other_json(note: Path) -> None:
    note.write_text("[7]")


def _pipe(note: Path) -> None:
    note.unlink()
    os.mkfifo(note)


def _link(note: Path) -> None:
    target = note.with_name("elsewhere")
    note.rename(target)
    note.symlink_to(target)


def _endless(note: Path) -> None:
    with note.open("wb") as file:
        file.truncate(10**9)


@pytest.mark.parametrize("spoil", [_malformed, _other_json, _pipe, _link, _endless])
async def test_a_volume_whose_note_cannot_be_read_is_unknown_and_not_changed(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    volumes = VolumeProvider(tmp_path)
    await volumes.put(DATA, FENCE)
    spoil(tmp_path / "env-a" / "data.volume.json")

    assert isinstance(await volumes.read(DATA), Unknown)
    with pytest.raises(Unavailable):
        await volumes.put(DATA, LATER)
    with pytest.raises(Unavailable):
        await volumes.delete(DATA, LATER)


@pytest.mark.parametrize("kind", ["a-pipe", "a-link"])
async def test_a_note_is_written_past_what_stands_at_its_draft(tmp_path: Path, kind: str) -> None:
    volumes = VolumeProvider(tmp_path)
    await volumes.put(DATA, FENCE)
    draft = tmp_path / "env-a" / f".data.volume.json.{os.getpid()}"
    other = tmp_path / "a-file-of-somebody-else"
    write_new(other, b"its content")
    if kind == "a-pipe":
        os.mkfifo(draft)
    else:
        await asyncio.to_thread(draft.symlink_to, other)
    live = await volumes.put(DATA, LATER)

    assert await volumes.read(DATA) == Present(live)
    assert read_plain(other) == b"its content"
    with pytest.raises(StaleFence):
        await volumes.put(DATA, FENCE)


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (DataResourceInput("../up", "LocalFolder"), "VolumeName"),
        (DataResourceInput("data", "LocalFolder", settings={"sizeGb": "5"}), "UnknownSetting"),
    ],
    ids=["a-name-that-leaves-the-folder", "a-limit-that-no-folder-has"],
)
def test_a_volume_that_cannot_be_had_is_refused_by_the_plan(
    tmp_path: Path, resource: DataResourceInput, code: str
) -> None:
    (node,) = nodes(VOLUME, data_resources=(resource,))

    assert [each.code for each in VolumeProvider(tmp_path).check(node, "/x")] == [code]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"capacity": {"memory_mib": 512}}, "CapacityNotLimited"),
        ({"settings": {"sku": "large"}}, "UnknownSetting"),
    ],
    ids=["a-limit-over-all-workloads", "a-setting"],
)
def test_a_site_that_cannot_be_had_is_refused_by_the_plan(
    given: Mapping[str, Mapping[str, object]], code: str
) -> None:
    (node,) = nodes(SITE, compute_targets=(ComputeTargetInput("LocalProcess", **given),))
    cluster = MemoryCluster(SystemClock(), SeededEntropy(1))

    assert [each.code for each in SiteProvider(MemorySurface(cluster)).check(node, "")] == [code]


async def test_a_site_keeps_its_properties_on_the_surface() -> None:
    cluster = MemoryCluster(SystemClock(), SeededEntropy(1))
    sites = SiteProvider(MemorySurface(cluster))
    (node,) = nodes(SITE)
    site = Resource(node.urn, node.type, node.name, node.properties)
    assert await sites.read(site) == Absent()

    live = await sites.put(site, FENCE)

    assert json.loads(json.dumps(live.properties)) == site.properties
    assert live.outputs["endpoint"].startswith("http://")
    assert await sites.read(site) == Present(live)
    await sites.delete(site, FENCE)
    assert await sites.read(site) == Absent()
