"""Files that a workload can replace: the agent opens plain ones only, and waits for none."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from local_agent import envoy_config, starts
from local_agent.artifacts import content_digest
from local_agent.envoy_admin import EnvoyAdmin, UpstreamHosts
from local_agent.envoy_process import EnvoyProcess
from local_agent.instance_folder import InstanceFolder
from local_agent.sandbox.output import BYTES_MAX
from local_agent.state_files import CorruptStateFile, SiteFolder, file_lock, write_atomically
from shared.kernel.ids import ServiceId
from shared.persistence.plain_files import NotPlain, append_to, open_plain, read_plain, write_new
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

SECRET: Final = b"a file of somebody else"
Replace = Callable[[Path, Path], None]


def _folder(path: Path, _secret: Path) -> None:
    path.mkdir()
    (path / "a").touch()


REPLACED: Final[Mapping[str, Replace]] = {
    "a-pipe": lambda path, _secret: os.mkfifo(path),
    "a-link": lambda path, secret: path.symlink_to(secret),
    "a-link-to-nothing": lambda path, secret: path.symlink_to(secret.with_name("nothing")),
    "a-link-to-itself": lambda path, _secret: path.symlink_to(path),
    "a-device": lambda path, _secret: path.symlink_to("/dev/zero"),
    "a-folder": _folder,
}
ALL: Final = pytest.mark.parametrize("replace", REPLACED.values(), ids=REPLACED.keys())


class ShowsAtOnce(EnvoyAdmin):
    """The admin port of a proxy that has read whatever was written, without one component."""

    async def hosts(self) -> UpstreamHosts:
        return {}

    async def route_table(self) -> tuple[str, Mapping[ServiceId, Mapping[int, int]]]:
        return str(envoy_config.routes([])["version_info"]), {}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def instance(tmp_path: Path) -> InstanceFolder:
    folder = InstanceFolder(tmp_path / "instance")
    folder.path.mkdir()
    return folder


@ALL
def test_what_is_no_plain_file_is_not_read(replace: Replace, tmp_path: Path, secret: Path) -> None:
    replace(tmp_path / "file", secret)

    with pytest.raises(NotPlain):
        read_plain(tmp_path / "file")


@ALL
@pytest.mark.parametrize("write", [write_new, write_atomically])
def test_what_is_written_replaces_it(
    write: Callable[[Path, bytes], None], replace: Replace, tmp_path: Path, secret: Path
) -> None:
    path = tmp_path / "file"
    replace(path.with_name("file.draft") if write is write_atomically else path, secret)
    write(path, b"ours")

    assert (path.read_bytes(), secret.read_bytes()) == (b"ours", SECRET)


@ALL
def test_output_is_appended_to_a_plain_file(replace: Replace, tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "output.log"
    replace(path, secret)
    descriptor = append_to(path)
    os.write(descriptor, b"ours")
    os.close(descriptor)

    assert (path.read_bytes(), secret.read_bytes()) == (b"ours", SECRET)


@ALL
def test_a_lock_is_a_plain_file(replace: Replace, tmp_path: Path, secret: Path) -> None:
    replace(tmp_path / "lock", secret)
    with file_lock(tmp_path / "lock"):
        os.close(open_plain(tmp_path / "lock"))

    assert secret.read_bytes() == SECRET


@ALL
def test_the_output_of_an_instance_shows_nothing_else(
    replace: Replace, instance: InstanceFolder, secret: Path
) -> None:
    for name in ("output.log", "output.log.1"):
        replace(instance.path / name, secret)
    instance.bound_output()

    assert instance.tail(100) == ()
    assert secret.read_bytes() == SECRET


@ALL
def test_a_claim_that_is_no_plain_file_is_none(
    replace: Replace, tmp_path: Path, secret: Path
) -> None:
    replace(tmp_path / "claim-1", secret)

    assert starts.read_claim(tmp_path / "claim-1") is None


@ALL
def test_a_document_that_is_no_plain_file_is_unknown_and_not_absent(
    replace: Replace, tmp_path: Path, secret: Path
) -> None:
    replace(tmp_path / "site.json", secret)

    with pytest.raises(CorruptStateFile):
        SiteFolder(tmp_path).site()


@ALL
def test_a_file_of_an_archive_that_was_replaced_is_absent(
    replace: Replace, tmp_path: Path, secret: Path
) -> None:
    absent = content_digest(tmp_path, ("server.py",))
    replace(tmp_path / "server.py", secret)

    assert content_digest(tmp_path, ("server.py",)) == absent


@pytest.mark.parametrize("name", ["clusters.json", "routes.json"])
@pytest.mark.parametrize("replace", [REPLACED["a-pipe"], REPLACED["a-link"]], ids=["pipe", "link"])
async def test_a_file_of_the_proxy_is_written_where_it_was_replaced(
    replace: Replace, name: str, tmp_path: Path, secret: Path
) -> None:
    replace(tmp_path / name, secret)
    envoy = EnvoyProcess(tmp_path, LoopClock(), SeededEntropy(1))
    await envoy.publish([], ShowsAtOnce(tmp_path))

    assert "resources" in json.loads(read_plain(tmp_path / name))
    assert read_plain(secret) == SECRET


def test_of_a_flood_of_output_the_end_is_kept(instance: InstanceFolder) -> None:
    log = instance.path / "output.log"
    with log.open("wb") as file:
        file.truncate(100 * BYTES_MAX)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe last line\n")
    instance.bound_output()

    assert instance.tail(1) == ("the last line",)
    assert sum(path.stat().st_size for path in instance.path.iterdir()) <= 2 * BYTES_MAX
