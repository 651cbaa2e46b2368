"""The variables that are filled in for a workload, wherever its command or environ names them.

`$PORT`, `$HOME`, `$TMPDIR`, `$RUNTIME_CONFIGURATION` and `$RUNTIME_SECRETS` where it has files of
these, and `$RUNTIME_DATA_<NAME>` of each data folder; also `${PORT}`. Every other dollar is the
workload's.
"""

import re
from collections.abc import Mapping
from typing import Final

from shared.surfaces.data_servers import HOST

_DATA: Final = "RUNTIME_DATA_"
_SERVER: Final = "RUNTIME_SERVER_"
_VARIABLE: Final = re.compile(
    r"\$(?:(?P<open>\{))?"
    rf"(?P<name>PORT|HOME|TMPDIR|RUNTIME_CONFIGURATION|RUNTIME_SECRETS|{_DATA}[A-Z0-9_]+)"
    r"(?(open)\}|(?![A-Za-z0-9_]))"
)


def data_variable(name: str) -> str:
    """Return the variable with the path of the data folder *name*; each has one of its own.

    Names have lower case letters, digits and dashes, so two never give the same variable.
    """
    return _DATA + name.upper().replace("-", "_")


def server_variables(name: str, port: int, database: str) -> dict[str, str]:
    """Return the variables that say where the server *name* is; it is on the machine itself.

    They are for connection strings that an application makes itself. The password is in none.
    """
    stem = _SERVER + name.upper().replace("-", "_")
    return {f"{stem}_HOST": HOST, f"{stem}_PORT": str(port), f"{stem}_DATABASE": database}


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return *text* with the variables in *environ* filled in; those that are not there stay."""
    return _VARIABLE.sub(lambda match: environ.get(match["name"], match[0]), text)


def data_variables(text: str) -> set[str]:
    """Return the variables of data folders that *text* names."""
    names = {match["name"] for match in _VARIABLE.finditer(text)}
    return {name for name in names if name.startswith(_DATA)}
