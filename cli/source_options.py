"""What an artifact or an image is built of, as the options of both commands have it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli import artifacts
from cli.exit_codes import ExitCode
from cli.failure import Failure


@dataclass(frozen=True)
class SourceOptions:
    """Packages, or a folder."""

    sources: Annotated[
        list[str] | None,
        typer.Argument(help="NAME==VERSION …, project folders, or one folder with --folder."),
    ] = None
    requirements: Annotated[
        list[Path] | None,
        typer.Option("-r", "--requirement", help="A requirements.txt; may be repeated."),
    ] = None
    folder: Annotated[
        bool, typer.Option("--folder", help="The source is a folder with a program of any kind.")
    ] = False
    fresh: Annotated[bool, typer.Option("--fresh", help="Build again, cached or not.")] = False

    def archive(self, cache: Path, *, what: str) -> Path:
        """Return the archive of them; *what* is built of it, `artifact` or `image`.

        Raises:
            Failure: nothing is named, or more than one folder.
        """
        names, files = self.sources or [], self.requirements or []
        if self.folder:
            if len(names) != 1 or files:
                raise Failure(
                    "--folder takes one folder, and reads its requirements.txt itself",
                    ExitCode.USAGE,
                )
            return artifacts.folder_archive(Path(names[0]), cache, fresh=self.fresh)
        if not names and not files:
            raise Failure(
                "nothing to build",
                ExitCode.USAGE,
                remedy="name packages, `-r requirements.txt`, or a folder: "
                f"`runtimectl {what} build --folder ./my-app`",
            )
        return artifacts.wheelhouse(names, files, cache, fresh=self.fresh)
