"""The write-ahead log is long before it is needed, begins anew when it is full, and ends empty."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from local_cloud.sqlite.database import Database
from local_cloud.sqlite.write_ahead_log import LENGTHEN_AFTER, LOG_BYTES, WriteAheadLog

SCHEMA = "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, body TEXT)"
BODY = "x" * 20_000


def add(key: int) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (?, ?)", (key, BODY))

    return work


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT count(*) FROM t").fetchone()
    connection.close()
    return int(found)


async def test_a_file_that_is_seldom_written_to_keeps_a_short_log(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    database = Database(path, SCHEMA)
    for n in range(3):
        await database.write(add(n))

    assert log_of(path).stat().st_size < LOG_BYTES / 10
    database.close()


def test_a_log_that_was_made_long_loses_nothing_in_a_crash(tmp_path: Path) -> None:
    path, crashed = tmp_path / "d.db", tmp_path / "crashed.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute(SCHEMA)
    log = WriteAheadLog(path, lambda: sqlite3.connect(path))
    add(1)(writer)

    log.count(LENGTHEN_AFTER + 1)
    log.threads.shutdown()
    add(2)(writer)

    assert log_of(path).stat().st_size >= LOG_BYTES
    # As a crash leaves them: two files, and no process that knows more.
    crashed.write_bytes(path.read_bytes())
    log_of(crashed).write_bytes(log_of(path).read_bytes())
    writer.close()
    assert count(crashed) == 2


@pytest.mark.parametrize("quick_commit_s", [0.0, 60.0], ids=["in-a-thread", "on-the-loop"])
async def test_a_log_that_is_full_begins_anew(tmp_path: Path, quick_commit_s: float) -> None:
    path = tmp_path / "d.db"
    database = Database(path, SCHEMA, quick_commit_s=quick_commit_s)
    for first in range(0, 2_000, 20):
        await asyncio.gather(*(database.write(add(first + n)) for n in range(20)))

    written = 2_000 * len(BODY)
    assert log_of(path).stat().st_size < written / 2
    database.close()
    assert count(path) == 2_000


async def test_the_log_is_empty_after_closing(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    database = Database(path, SCHEMA)
    for n in range(2 * LENGTHEN_AFTER):
        await database.write(add(n))

    database.close()

    assert not log_of(path).exists()
