"""`artifact`: build an archive from packages or a folder, and upload it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli import artifacts
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Commands, Invocation
from cli.output import note
from cli.state_folder import state_folder_at

app = Commands(help="Artifacts: the archives that releases run.")


@app.command()
def build(
    invocation: Invocation,
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="NAME==VERSION …, project folders, or one folder with --folder."),
    ] = None,
    requirements: Annotated[
        list[Path] | None,
        typer.Option("-r", "--requirement", help="A requirements.txt; may be repeated."),
    ] = None,
    folder: Annotated[
        bool, typer.Option("--folder", help="The source is a folder with a program of any kind.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--to", help="Also copy the archive here.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Build again, cached or not.")] = False,
) -> None:
    """Build an archive; needs no running system. The same sources give the same digest."""
    cache, names = state_folder_at(invocation.state).cache, sources or []
    if folder:
        path = _folder_archive(names, requirements or [], cache, fresh=fresh)
    elif names or requirements:
        path = artifacts.wheelhouse(names, requirements or [], cache, fresh=fresh)
    else:
        raise Failure(
            "nothing to build",
            ExitCode.USAGE,
            remedy="name packages, `-r requirements.txt`, or a folder: "
            "`runtimectl artifact build --folder ./my-app`",
        )
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


def _folder_archive(
    names: Sequence[str], requirements: Sequence[Path], cache: Path, *, fresh: bool
) -> Path:
    if len(names) != 1 or requirements:
        raise Failure(
            "--folder takes one folder, and reads its requirements.txt itself", ExitCode.USAGE
        )
    path = artifacts.folder_archive(Path(names[0]), cache, fresh=fresh)
    if (Path(names[0]) / artifacts.REQUIREMENTS).is_file():
        note(
            f"the packages of {artifacts.REQUIREMENTS} are in {artifacts.VENDOR}/: "
            f"start it with `--environ PYTHONPATH={artifacts.VENDOR}`"
        )
    return path


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
