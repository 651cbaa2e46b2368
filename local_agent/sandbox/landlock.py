"""Restricts this process, and all that it will start, by Landlock: files, ports, signals.

See landlock(7). What no rule allows is denied; what the kernel's version does not know is open.
"""

from __future__ import annotations

import os
import stat

from local_agent.sandbox import system_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PORTS_ABI = 4
SCOPES_ABI = 6
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_ALL_OF_ABI_1 = (1 << 13) - 1
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_BIND_TCP = 1 << 0
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
READ = _EXECUTE | _READ_FILE | _READ_DIR
USE = _READ_FILE | _READ_DIR | _WRITE_FILE
"""Of devices and of what the kernel shows as files."""
WRITE = _ALL_OF_ABI_1 | _REFER | _TRUNCATE


def restrict(abi: int, paths: Iterable[tuple[str, int]], port: int | None) -> None:
    """Allow *paths*, each with its access, and to bind *port* and ports that the kernel chooses."""
    handled = _ALL_OF_ABI_1 | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)  # noqa: PLR2004
    ruleset = system_calls.landlock_ruleset(
        abi,
        handled,
        _BIND_TCP if abi >= PORTS_ABI else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= SCOPES_ABI else 0,
    )
    for path, access in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            continue  # what is not there needs no rule
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        allowed = access if is_folder else access & _OF_FILES
        system_calls.landlock_allow_path(ruleset, allowed & handled, descriptor)
        os.close(descriptor)
    if abi >= PORTS_ABI:
        for allowed_port in {0, port or 0}:
            system_calls.landlock_allow_port(ruleset, _BIND_TCP, allowed_port)
    system_calls.landlock_restrict(ruleset)
    os.close(ruleset)
