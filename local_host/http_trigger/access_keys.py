"""Access keys: what a caller may do with the key in `x-functions-key` or `?code=`.

The master key permits everything. Otherwise the level must be equal: a host key or the function's
own permits FUNCTION, a system key the extension's webhook, and neither permits the other's.
https://learn.microsoft.com/azure/azure-functions/function-keys-how-to
"""

import base64
import sqlite3
from collections.abc import Iterable
from typing import Final

from local_cloud.sqlite.database import Database
from local_host.model import HttpCall
from shared.kernel.entropy import Entropy

MASTER: Final = "_master"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS host_key (
  scope TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (scope, name)
) WITHOUT ROWID;
"""
_HOST: Final = "host"
_SYSTEM: Final = "system"
_FUNCTION: Final = "function:"


class AccessKeys:
    """The keys of one host, created once and stored in its database."""

    def __init__(self, values: dict[tuple[str, str], str]) -> None:
        self._values = values
        self._scopes = {value: key for key, value in values.items()}

    def value(self, scope: str, name: str) -> str:
        return self._values[scope, name]

    @property
    def master(self) -> str:
        return self._values[_HOST, MASTER]

    def system(self, extension: str) -> str:
        """Return the key that *extension*'s webhooks take, `durabletask` say."""
        return self._values[_SYSTEM, f"{extension}_extension"]

    def function(self, name: str) -> str:
        return self._values[_FUNCTION + name.lower(), "default"]

    def permits(self, call: HttpCall, level: str, function: str) -> bool:
        """Return whether *call* carries a key for *function*, which asks for *level*."""
        if level == "ANONYMOUS":
            return True
        scope, name = self._scope_of(call)
        if (scope, name) == (_HOST, MASTER):
            return True
        return level == "FUNCTION" and scope in (_HOST, _FUNCTION + function.lower())

    def permits_webhook(self, call: HttpCall, extension: str) -> bool:
        scope, name = self._scope_of(call)
        return (scope, name) in ((_HOST, MASTER), (_SYSTEM, f"{extension}_extension"))

    def _scope_of(self, call: HttpCall) -> tuple[str, str]:
        presented = call.header("x-functions-key") or _code(call.query)
        return self._scopes.get(presented, ("", ""))


def _code(query: str) -> str:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.lower() == "code":
            return value
    return ""


async def open_access_keys(
    database: Database, entropy: Entropy, *, functions: Iterable[str], extensions: Iterable[str]
) -> AccessKeys:
    """Return the keys of this host, making those that are missing."""
    wanted = [(_HOST, MASTER), (_HOST, "default")]
    wanted += [(_SYSTEM, f"{name}_extension") for name in extensions]
    wanted += [(_FUNCTION + name.lower(), "default") for name in functions]
    rows = [(scope, name, _new(entropy)) for scope, name in wanted]

    def make(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
        connection.execute(_SCHEMA)
        connection.executemany("INSERT OR IGNORE INTO host_key VALUES (?, ?, ?)", rows)
        kept = connection.execute("SELECT scope, name, value FROM host_key")
        return {(scope, name): value for scope, name, value in kept}

    return AccessKeys(await database.write(make))


def _new(entropy: Entropy) -> str:
    # The alphabet of URLs, so that a key can stand in a query as it is.
    return base64.urlsafe_b64encode(entropy.bits(256).to_bytes(32, "big")).decode().rstrip("=")
