"""An archive of programs may be anybody's: only plain files of known names leave it, bounded."""

import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import cluster_programs
from tools.cluster_programs import fill_kubebox, fill_runtime, new_folder, unpack_programs


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as packed:
        for member, content in members:
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return path


def test_programs_of_known_names_are_unpacked_and_can_be_run(tmp_path: Path) -> None:
    packed = archive(
        tmp_path / "programs.tar.xz",
        (tarfile.TarInfo("./runc"), b"runs"),
        (tarfile.TarInfo("../escaped"), b"out"),
        (tarfile.TarInfo("unknown"), b"more"),
    )
    folder = tmp_path / "programs"
    folder.mkdir()

    unpack_programs(packed, folder, {"runc", "ctr"})

    assert [path.name for path in folder.iterdir()] == ["runc"]
    assert (folder / "runc").read_bytes() == b"runs"
    assert (folder / "runc").stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
def test_a_link_in_the_place_of_a_program_is_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo("runc")
    link.type, link.linkname = kind, "/etc/passwd"
    packed = archive(tmp_path / "programs.tar.xz", (link, b""))

    with pytest.raises(ValueError, match=r"runc in .* is no plain file"):
        unpack_programs(packed, tmp_path, {"runc"})


def test_a_program_without_an_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_programs, "PROGRAM_BYTES_MAX", 1000)
    (tmp_path / "kubebox.xz").write_bytes(lzma.compress(bytes(1001)))
    target = tmp_path / "cache"
    target.mkdir()

    with pytest.raises(ValueError, match="longer than 1000 bytes"):
        fill_kubebox(target, tmp_path)


def test_a_folder_that_was_not_filled_is_not_there(tmp_path: Path) -> None:
    def fail_halfway() -> None:
        with new_folder(tmp_path / "cache" / "kubebox-1") as part:
            (part / "kubebox").write_bytes(b"half")
            raise ValueError("the disk is full, say")

    with pytest.raises(ValueError, match="full"):
        fail_halfway()

    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fill"), [("kubebox.xz", fill_kubebox), ("node-runtime.tar.xz", fill_runtime)]
)
def test_a_damaged_archive_is_named(
    tmp_path: Path, name: str, fill: Callable[[Path, Path], None]
) -> None:
    (tmp_path / name).write_bytes(b"no archive")
    target = tmp_path / "cache"
    target.mkdir()

    with pytest.raises(SystemExit, match=f"{name} is damaged"):
        fill(target, tmp_path)


def test_a_folder_of_archives_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMECTL_CACHE", str(tmp_path))
    monkeypatch.setenv(cluster_programs.ARCHIVES, str(tmp_path / "tiil"))

    with pytest.raises(SystemExit, match=r"RUNTIMECTL_PROGRAM_ARCHIVES names .*tiil, which is no"):
        cluster_programs.main()
