"""`image`: build a container image from packages or a folder, and push it."""

import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import images
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Commands, Invocation
from cli.output import note
from cli.source_options import SourceOptions
from cli.state_folder import state_folder_at

if TYPE_CHECKING:
    from shared.images.registries import Password

app = Commands(help="Images: containers that releases run on a cluster.")


@app.command()
def build(
    invocation: Invocation,
    options: SourceOptions,
    base: Annotated[
        str,
        typer.Option(
            help="debian: Python from this machine's packages; scratch: nothing; or an image by"
            " its digest."
        ),
    ] = images.DEBIAN,
    entrypoint: Annotated[
        str, typer.Option(help="What it starts, such as 'python -m shop'; a release may differ.")
    ] = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="Write the image (an OCI layout) here.")
    ] = None,
    push: Annotated[
        str, typer.Option("--push", metavar="REFERENCE", help="Push it: registry/repository:tag.")
    ] = "",
    username: Annotated[str, typer.Option(help="For the registry; none: as nobody.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Build an image; needs no Docker and no running system. Equal sources give equal digests."""
    cache = state_folder_at(invocation.state).cache
    reference = images.reference_of(push) if push else None
    password = _password(username, is_given=password_stdin)
    words = _words(entrypoint)
    archive = options.archive(cache, what="image")
    source = images.Source(archive, has_packages=not options.folder)
    kept = cache / "images"
    kept.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=kept, prefix="build-"))
    try:
        built = images.build(source, base, words, draft, cache)
        path = images.moved(built, to or kept / built.digest.replace(":", "-"))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shown = {"digest": built.digest, "sizeBytes": built.size, "path": str(path)}
    if reference is not None:
        digest = images.push(path, reference, password)
        shown["reference"] = str(reference.pinned(digest))
    if not words:
        note("it starts nothing by itself: say --entrypoint, or `command:` in the release")
    invocation.show(shown)


def _password(username: str, *, is_given: bool) -> "Password | None":
    if bool(username) != is_given:
        raise Failure(
            "--username and --password-stdin go together",
            ExitCode.USAGE,
            remedy="`… --username ci --password-stdin < password-file`",
        )
    if not username:
        return None
    from shared.images.registries import Password  # noqa: PLC0415  brings pydantic

    return Password(username, sys.stdin.readline().rstrip("\r\n"))


def _words(entrypoint: str) -> list[str]:
    try:
        return shlex.split(entrypoint)
    except ValueError as wrong:
        raise Failure(f"--entrypoint: {wrong}", ExitCode.USAGE) from wrong
