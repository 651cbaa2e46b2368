"""The servers that keep data of an environment, as its site has them.

Who holds a password that a server knows gets its data: see `shared/passwords`.
"""

from dataclasses import dataclass
from typing import Final

LOCAL_POSTGRES: Final = "LocalPostgres"
LOCAL_VALKEY: Final = "LocalValkey"
SERVER_KINDS: Final = (LOCAL_POSTGRES, LOCAL_VALKEY)
ADMINISTRATOR: Final = "administrator"
"""Its user who may do everything; no workload is given that."""
HOST: Final = "127.0.0.1"


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
