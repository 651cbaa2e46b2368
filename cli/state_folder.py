"""The files of one state folder that the command line reads and writes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.persistence import plain_files

REPOSITORY: Final = Path(__file__).resolve().parent.parent
"""The folder of the function apps; this package is installed editable."""


@dataclass(frozen=True)
class StateFolder:
    """The paths below one state folder."""

    path: Path

    @property
    def private(self) -> Path:
        """The files of `runtimectl` itself; no other user of this machine may read them."""
        return self.path / "runtimectl"

    @property
    def host_log(self) -> Path:
        return self.path / "logs" / "host.log"

    @property
    def host_file(self) -> Path:
        return self.private / "host.json"

    @property
    def kind_file(self) -> Path:
        """How many processes each app has: written before the first start, as data follow it."""
        return self.private / "kind.json"

    @property
    def host_lock(self) -> Path:
        """Held by the host while it runs; it has its process id."""
        return self.path / "host.lock"

    @property
    def token_file(self) -> Path:
        return self.private / "token.json"

    @property
    def surface(self) -> Path:
        return self.path / "surface"

    @property
    def cloud(self) -> Path:
        """What the local cloud keeps."""
        return self.path / "cloud"

    @property
    def cluster(self) -> Path:
        """What the local cluster keeps."""
        return self.path / "cluster"

    @property
    def issuer(self) -> Path:
        return self.path / "issuer"

    @property
    def cache(self) -> Path:
        """Built archives and programs, shared by all state folders; `RUNTIMECTL_CACHE` moves it."""
        return Path(os.environ.get("RUNTIMECTL_CACHE") or REPOSITORY / ".factory" / "cache")

    def create(self) -> None:
        """Create the folders that are written to.

        Raises:
            Failure: this user cannot write there, or it is no folder.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.private.mkdir(exist_ok=True, mode=0o700)
            self.host_log.parent.mkdir(exist_ok=True)
        except OSError as refused:
            raise Failure(
                f"{self.path} cannot be the state folder: {refused.strerror}",
                ExitCode.USAGE,
                remedy="name another folder with --state",
            ) from refused


def state_folder_at(path: Path) -> StateFolder:
    """Return the state folder at *path*, independent of the working directory."""
    return StateFolder(path.resolve())


def read_json(path: Path) -> Mapping[str, Any] | None:
    """Return the object in the file *path*; None when it is absent or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file *path* by the object *content*, whole, with mode 0600."""
    plain_files.write_private(path, json.dumps(content, indent=2).encode())
