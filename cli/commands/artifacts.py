"""`artifact`: build an archive from packages or a folder, and upload it."""

from pathlib import Path
from typing import Annotated

import typer

from cli import artifacts
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Commands, Invocation
from cli.state_folder import state_folder_at

app = Commands(help="Artifacts: the archives that releases run.")


@app.command()
def build(
    invocation: Invocation,
    sources: Annotated[
        list[str],
        typer.Argument(help="NAME==VERSION …, project folders, or one folder with --folder."),
    ],
    folder: Annotated[
        bool, typer.Option("--folder", help="The source is a folder with a program of any kind.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--to", help="Also copy the archive here.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Build again, cached or not.")] = False,
) -> None:
    """Build an archive; needs no running system. The same sources give the same digest."""
    cache = state_folder_at(invocation.state).cache
    if folder:
        if len(sources) != 1:
            raise Failure("--folder takes one folder", ExitCode.USAGE)
        path = artifacts.folder_archive(Path(sources[0]), cache)
    else:
        path = artifacts.wheelhouse(sources, cache, fresh=fresh)
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


def _copy(path: Path, to: Path) -> None:
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    except OSError as refused:
        raise Failure(
            f"--to {to} cannot be written: {refused.strerror}",
            ExitCode.USAGE,
            remedy="name a file in a folder of yours: --to build/shop.zip",
        ) from refused


@app.command()
def push(
    invocation: Invocation,
    archive: Annotated[Path, typer.Argument(help="A zip, as `artifact build` makes it.")],
) -> None:
    """Upload an archive unless it is stored already, and print its digest."""
    invocation.show(artifacts.push(invocation.client, archive))
