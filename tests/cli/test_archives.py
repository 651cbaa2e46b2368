import os
import threading
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from cli import artifacts
from cli.artifacts import digest_of, folder_archive, pack, wheelhouse
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.main import main


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


def _wheel(folder: Path) -> Path:
    """Write a wheel of one module, `tiny`, with a program."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    files = {
        "tiny.py": "def main() -> None: ...\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": "".join(f"{n},,\n" for n in files)}.items():
            archive.writestr(name, text)
    return path


def _names(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        return set(opened.namelist())


@pytest.mark.long
@pytest.mark.real
def test_the_requirements_of_a_folder_and_of_a_file_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "serve.py").write_text("import tiny\n")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"tiny @ {_wheel(tmp_path).as_uri()}\n")

    whole = folder_archive(folder, tmp_path / "cache")
    digest = digest_of(whole)
    again = folder_archive(folder, tmp_path / "cache", fresh=True)
    wheels = wheelhouse([], [requirements], tmp_path / "cache")

    assert {"serve.py", "requirements.txt", "vendor/tiny.py"} <= _names(whole)
    assert not any("/bin/" in name for name in _names(whole))
    assert digest_of(again) == digest
    assert _names(wheels) == {"tiny-1.0-py3-none-any.whl"}


@pytest.mark.real
def test_two_first_builds_at_once_make_one_environment_with_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("tiny\n")
    together = threading.Barrier(2)
    made: list[str] = []

    def run(command: Sequence[str], _purpose: str) -> None:
        if "venv" in command:
            made.append(command[-1])
            with suppress(threading.BrokenBarrierError):
                together.wait(0.5)  # the second build is here too, unless it waits for the first
            Path(command[-1]).mkdir()

    monkeypatch.setattr(artifacts, "run_program", run)
    with ThreadPoolExecutor(2) as builds:
        for cache in [tmp_path / "cache"] * 2:
            builds.submit(wheelhouse, [], [requirements], cache, fresh=True)

    assert made == [str(tmp_path / "cache" / "builder")]


def test_a_folder_with_its_own_packages_is_not_mixed_with_those_of_its_requirements(
    tmp_path: Path,
) -> None:
    (tmp_path / "app" / "vendor").mkdir(parents=True)
    (tmp_path / "app" / "requirements.txt").write_text("tiny\n")

    with pytest.raises(Failure, match="which is there"):
        folder_archive(tmp_path / "app", tmp_path / "cache")


def test_nothing_to_build_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["artifact", "build"]) == ExitCode.USAGE
    assert "-r requirements.txt" in capsys.readouterr().err
