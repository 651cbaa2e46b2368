"""`artifact`: build an archive from packages or a folder, and upload it."""

from pathlib import Path
from typing import Annotated

import typer

from cli import artifacts
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Output, State
from cli.output import Format, show
from cli.session import Session
from cli.state_folder import DEFAULT_STATE, place_at

app = typer.Typer(help="Artifacts: what a release runs.", no_args_is_help=True)


@app.command()
def build(
    sources: Annotated[
        list[str],
        typer.Argument(help="NAME==VERSION …, project folders, or one folder with --folder."),
    ],
    folder: Annotated[
        bool, typer.Option("--folder", help="The source is a folder with a program of any kind.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--to", help="Also copy the archive here.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Build again, cached or not.")] = False,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Build an archive; needs no running system. The same sources give the same digest."""
    cache = place_at(state).cache
    if folder:
        if len(sources) != 1:
            raise Failure("--folder takes one folder", ExitCode.USAGE)
        path = artifacts.packed_folder(Path(sources[0]), cache)
    else:
        path = artifacts.wheelhouse(sources, cache, fresh=fresh)
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
        path = to
    show(
        {
            "digest": artifacts.digest_of(path),
            "sizeBytes": path.stat().st_size,
            "path": str(path),
        },
        output,
    )


@app.command()
def push(
    archive: Annotated[Path, typer.Argument(help="A zip, as `artifact build` makes it.")],
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Upload an archive and print its digest; what is there already is not sent again."""
    show(artifacts.push(Session(state).client, archive), output)
