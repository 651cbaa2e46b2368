import os
import zipfile
from pathlib import Path

import pytest

from cli.artifacts import digest_of, folder_archive, pack
from cli.exit_codes import ExitCode
from cli.failure import Failure


def _program(folder: Path, *, at: float, text: str = "print('hello')") -> Path:
    (folder / "sub").mkdir(parents=True)
    for name in ("b.py", "a.py", "sub/c.txt"):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        os.utime(path, (at, at))
    (folder / "a.py").chmod(0o755)
    return folder


def test_equal_files_give_equal_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    pack(_program(tmp_path / "one", at=1e9), tmp_path / "one.zip", compress=True)
    pack(_program(tmp_path / "two", at=1.5e9), tmp_path / "two.zip", compress=True)

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_another_byte_gives_another_digest(tmp_path: Path) -> None:
    first = folder_archive(_program(tmp_path / "one", at=1e9), tmp_path / "cache")
    second = folder_archive(_program(tmp_path / "two", at=1e9, text="x"), tmp_path / "cache")

    assert digest_of(first) != digest_of(second)


def test_a_program_stays_executable_and_rubbish_stays_out(tmp_path: Path) -> None:
    folder = _program(tmp_path / "one", at=1e9)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"old")
    (folder / "link").symlink_to("/etc/hostname")

    pack(folder, tmp_path / "one.zip", compress=True)

    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert modes == {"a.py": 0o755, "b.py": 0o644, "sub/c.txt": 0o644}


def test_an_archive_that_is_not_there_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failed:
        digest_of(tmp_path / "missing.zip")

    assert failed.value.exit_code is ExitCode.USAGE
    assert "runtimectl artifact build" in failed.value.remedy
