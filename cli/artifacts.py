"""Builds reproducible archives, of Python packages (a wheelhouse) or of a folder; uploads them.

An archive is cached under a key of its requirements and the interpreter, or of the folder's files.
"""

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.surfaces.archives import ARCHIVE_BYTES_MAX

ARTIFACTS: Final = "/v1/runtime/artifacts"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time of a zip entry."""
_BUILD_S: Final = 600.0
REQUIREMENTS: Final = "requirements.txt"
VENDOR: Final = "vendor"
_SKIPPED: Final = frozenset({"__pycache__", ".git", ".venv"})


def wheelhouse(
    requirements: Sequence[str], files: Sequence[Path], cache: Path, *, fresh: bool = False
) -> Path:
    """Return the zip of all wheels that *requirements* need, built with pip or from the cache.

    A requirement is `NAME==VERSION`, the folder of a project, or a line of one of *files*.

    Raises:
        Failure: pip failed; the message ends with its output.
    """
    words = [*requirements, *_file_options(files)]
    target = cache / "wheelhouses" / f"{_wheelhouse_key(requirements, files)}.zip"
    if target.exists() and not fresh:
        return target
    with tempfile.TemporaryDirectory(prefix="wheels-") as temporary:
        folder = Path(temporary)
        run_pip(["wheel", "--wheel-dir", str(folder), *words], cache)
        pack(folder, target, compress=False)
    return target


def folder_archive(folder: Path, cache: Path, *, fresh: bool = False) -> Path:
    """Return the zip of the files in *folder*; packages of its requirements.txt are in `vendor/`.

    Raises:
        Failure: it is no folder, or pip failed.
    """
    if not folder.is_dir():
        raise Failure(
            f"{folder} is not a folder",
            ExitCode.USAGE,
            remedy="name the folder of your program: `runtimectl artifact build --folder ./my-app`",
        )
    has_requirements = (folder / REQUIREMENTS).is_file()
    key = (
        f"{_content_key(folder)}-{_interpreter_key()}" if has_requirements else _content_key(folder)
    )
    target = cache / "folders" / f"{key}.zip"
    if target.exists() and not fresh:
        return target
    if not has_requirements:
        pack(folder, target, compress=True)
        return target
    with tempfile.TemporaryDirectory(prefix="folder-") as temporary:
        copy = Path(temporary) / "copy"
        shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns(*_SKIPPED))
        _install_into(copy / VENDOR, copy / REQUIREMENTS, cache)
        pack(copy, target, compress=True)
    return target


def _install_into(vendor: Path, requirements: Path, cache: Path) -> None:
    if vendor.exists():
        raise Failure(
            f"the folder has {REQUIREMENTS}, whose packages belong into {VENDOR}/, which is there",
            ExitCode.USAGE,
            remedy=f"remove {VENDOR}/, or {REQUIREMENTS} if nothing is to be installed",
        )
    options = ["install", "--no-compile", "--target", str(vendor)]
    run_pip([*options, *_file_options([requirements])], cache)
    # Its programs name the interpreter of this build; `python -m` needs none of them.
    shutil.rmtree(vendor / "bin", ignore_errors=True)


def pack(folder: Path, target: Path, *, compress: bool) -> None:
    """Write the files of *folder* to the zip *target*; equal files result in equal bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}.draft")
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(draft, "w", method) as archive:
        for path in sorted(_files(folder)):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            is_program = bool(path.stat().st_mode & stat.S_IXUSR)
            entry.external_attr = (stat.S_IFREG | (0o755 if is_program else 0o644)) << 16
            entry.compress_type = method
            archive.writestr(entry, path.read_bytes())
    draft.replace(target)


def digest_of(path: Path) -> str:
    """Return the digest of the archive at *path*."""
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except IsADirectoryError as unread:
        whole = path.resolve()
        archive = os.path.relpath(whole.parent / f"{whole.name}.zip")
        raise Failure(
            f"{path} is a folder; an artifact is an archive of one",
            ExitCode.USAGE,
            remedy=f"build it (`runtimectl artifact build --folder {path} --to {archive}`), and"
            f" name the archive: --artifact {archive}",
        ) from unread
    except OSError as unread:
        raise Failure(
            f"{path} cannot be read: {unread.strerror}",
            ExitCode.USAGE,
            remedy=f"build it first: `runtimectl artifact build --folder <folder> --to {path}`, "
            f"or of packages: `runtimectl artifact build <name>==<version> --to {path}`",
        ) from unread


def push(client: Client, path: Path) -> Mapping[str, object]:
    """Upload the archive unless it is stored already; return the artifact with its digest."""
    digest = digest_of(path)
    if path.stat().st_size > ARCHIVE_BYTES_MAX:
        raise Failure(
            f"{path} has {path.stat().st_size} bytes, an artifact at most {ARCHIVE_BYTES_MAX}",
            ExitCode.REFUSED,
            code="TooLarge",
        )
    try:
        stored: Mapping[str, object] = client.get(f"{ARTIFACTS}/{digest}").body
    except Failure as absent:
        if absent.exit_code is not ExitCode.NOT_FOUND:
            raise
        return dict(client.upload(ARTIFACTS, path.read_bytes(), "application/zip").body)
    return stored


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        is_skipped = _SKIPPED & set(path.relative_to(folder).parts)
        if path.is_file() and not path.is_symlink() and not is_skipped:
            yield path


def _interpreter_key() -> str:
    names = (platform.python_implementation(), platform.python_version(), platform.machine())
    return "-".join(names)


def _file_options(files: Sequence[Path]) -> list[str]:
    return [word for file in files for word in ("--requirement", str(file))]


def _wheelhouse_key(requirements: Sequence[str], files: Sequence[Path]) -> str:
    parts = [_interpreter_key(), *map(digest_of, files)]
    for requirement in sorted(requirements):
        parts.append(requirement)
        if Path(requirement).is_dir():
            parts.append(_content_key(Path(requirement)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _content_key(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        is_program = bool(path.stat().st_mode & stat.S_IXUSR)
        total.update(f"{path.relative_to(folder).as_posix()}\0{is_program}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:24]


def run_pip(words: Sequence[str], cache: Path) -> None:
    """Run pip in an environment of its own. Raises Failure, with its output."""
    pip = [str(_builder(cache)), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run_program([*pip, *words], f"build the packages: pip {' '.join(words)}")


def _builder(cache: Path) -> Path:
    """Return an interpreter with pip, apart from ours, which may have no pip."""
    from local_agent.state_files import file_lock  # noqa: PLC0415
    from local_agent.wheel_installer import base_python  # noqa: PLC0415  slow to import

    folder = cache / "builder"
    with file_lock(cache / "builder.lock"):  # two first builds may run at once
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            run_program(
                [base_python(), "-m", "venv", str(folder)], "create an environment with pip"
            )
            (folder / "complete").touch()
    return folder / "bin" / "python"


def run_program(
    command: Sequence[str], purpose: str, *, folder: Path | None = None, remedy: str = ""
) -> str:
    """Return the output of *command*, run in *folder*.

    Raises:
        Failure: it cannot be run, or fails; the message has *purpose* and the end of its output.
    """
    # Wheels contain this time, so a repeated build has equal bytes.
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PIP_NO_INPUT": "1"}
    try:
        process = subprocess.run(  # noqa: S603  our own command line
            command, env=environ, stdin=subprocess.DEVNULL, timeout=_BUILD_S, cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise Failure(f"could not {purpose}: {failed}", ExitCode.UNAVAILABLE) from failed
    if process.returncode:
        raise Failure(
            f"could not {purpose}:\n{process.stdout.strip()[-2000:]}",
            ExitCode.REFUSED,
            remedy=remedy or "check names, versions and the network, then type the command again",
        )
    return process.stdout
