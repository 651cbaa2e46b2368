"""The state folder as the command line sees it: where the host, its log and the token are."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DEFAULT_STATE: Final = Path(".factory")
STATE_VARIABLE: Final = "RUNTIMECTL_STATE"
REPOSITORY: Final = Path(__file__).resolve().parent.parent
"""Where the function apps are; this package is installed editable."""


@dataclass(frozen=True)
class Place:
    """Paths below one state folder."""

    state: Path

    @property
    def own(self) -> Path:
        """What `runtimectl` itself keeps: readable by nobody else of this machine."""
        return self.state / "runtimectl"

    @property
    def host_log(self) -> Path:
        return self.state / "logs" / "host.log"

    @property
    def host_file(self) -> Path:
        return self.own / "host.json"

    @property
    def token_file(self) -> Path:
        return self.own / "token.json"

    @property
    def surface(self) -> Path:
        return self.state / "surface"

    @property
    def issuer(self) -> Path:
        return self.state / "issuer"

    @property
    def cache(self) -> Path:
        """What is built once for every state folder; `RUNTIMECTL_CACHE` moves it."""
        return Path(os.environ.get("RUNTIMECTL_CACHE") or REPOSITORY / ".factory" / "cache")

    def prepare(self) -> None:
        """Make the folders that are written to."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.own.mkdir(exist_ok=True, mode=0o700)
        self.host_log.parent.mkdir(exist_ok=True)


def place_at(state: Path) -> Place:
    """Return the place at *state*, whatever the working directory becomes later."""
    return Place(state.resolve())


def read_json(path: Path) -> Mapping[str, Any] | None:
    """Return what *path* says, None when it is absent or damaged."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replace *path*, mode 0600, whole."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)
