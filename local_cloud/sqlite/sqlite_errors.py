"""Translates errors of SQLite to the families of `shared.kernel.errors`.

Those of the file and its disk are `Unavailable`: a repeat may succeed when there is space again, or
the file was restored. All others show a defect of ours and stay as they are.
https://www.sqlite.org/rescode.html
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from shared.kernel.errors import Unavailable
from shared.kernel.full_disk import FULL

_RETRY_AFTER_S: Final = 5.0
"""People or retention make space; a second is too soon."""
_PRIMARY: Final = 0xFF
_REASONS: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_FULL: f"{FULL}: no space left",
    sqlite3.SQLITE_IOERR: "the disk refuses it; it may be full, over its quota, or broken",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only, or was moved",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; its disk may be read-only or full",
    sqlite3.SQLITE_PERM: "the file may not be opened",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it",
    sqlite3.SQLITE_NOTADB: "the file is damaged: restore it",
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_LOCKED: "another connection holds it",
}


class TranslatedErrors:
    """A context that raises `Unavailable` for what the database file *path* or its disk refuses.

    It keeps nothing, so one serves all reads and writes of a database. Other errors pass.
    """

    __slots__ = ("_name",)

    def __init__(self, path: Path | str) -> None:
        self._name = Path(path).name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _type: type[BaseException] | None,
        problem: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not isinstance(problem, sqlite3.Error):
            return
        reason = _REASONS.get(getattr(problem, "sqlite_errorcode", 0) & _PRIMARY)
        if reason is not None:
            message = f"{self._name} is not available: {reason} ({problem})"
            raise Unavailable(message, retry_after_s=_RETRY_AFTER_S) from problem
