"""`artifact`: build an archive from packages or a folder, and upload it."""

import errno
from pathlib import Path
from typing import Annotated

import typer

from cli import artifacts
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Commands, Invocation
from cli.output import note
from cli.source_options import SourceOptions
from cli.state_folder import state_folder_at

app = Commands(help="Artifacts: the archives that releases run.")


@app.command()
def build(
    invocation: Invocation,
    options: SourceOptions,
    to: Annotated[Path | None, typer.Option("--to", help="Also copy the archive here.")] = None,
) -> None:
    """Build an archive; needs no running system. The same sources give the same digest."""
    path = options.archive(state_folder_at(invocation.state).cache, what="artifact")
    if options.folder and options.sources:
        _say_packages(Path(options.sources[0]))
    if to is not None:
        _copy(path, to)
        path = to
    invocation.show(
        {
            "digest": artifacts.digest_of(path),
            "sizeBytes": path.stat().st_size,
            "path": str(path),
        }
    )


def _say_packages(folder: Path) -> None:
    if (folder / artifacts.REQUIREMENTS).is_file():
        note(
            f"the packages of {artifacts.REQUIREMENTS} are in {artifacts.VENDOR}/: "
            f"start it with `--environ PYTHONPATH={artifacts.VENDOR}`"
        )


def _copy(path: Path, to: Path) -> None:
    was_there = to.exists()
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    except OSError as refused:
        if not was_there:  # what is begun is no archive
            to.unlink(missing_ok=True)
        is_full = refused.errno in {errno.ENOSPC, errno.EDQUOT}
        raise Failure(
            f"--to {to} cannot be written: {refused.strerror}",
            ExitCode.USAGE,
            remedy=f"make room for {path.stat().st_size:,} bytes there, or name another disk"
            if is_full
            else "name a file in a folder of yours: --to build/shop.zip",
        ) from refused


@app.command()
def push(
    invocation: Invocation,
    archive: Annotated[Path, typer.Argument(help="A zip, as `artifact build` makes it.")],
) -> None:
    """Upload an archive unless it is stored already, and print its digest."""
    invocation.show(artifacts.push(invocation.client, archive))
