"""Many callers share one commit, and none of them notices the others."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from local_cloud.sqlite.database import MEMORY, QUICK_COMMIT_S, Database
from shared.kernel.errors import Unavailable

SCHEMA = "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY)"


@pytest.fixture(
    params=[
        pytest.param((None, QUICK_COMMIT_S), id="memory"),
        pytest.param(("d.db", 60.0), id="commits-on-the-loop"),
        pytest.param(("d.db", 0.0), id="commits-in-a-thread"),
    ]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    name, quick_commit_s = request.param
    path = MEMORY if name is None else tmp_path / name
    opened = Database(path, SCHEMA, quick_commit_s=quick_commit_s)
    yield opened
    opened.close()


def add(key: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO t VALUES (?)", (key,))
        return key

    return work


def add_and_fail(key: str) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (?)", (key,))
        raise LookupError(key)

    return work


def keys(database: Database) -> list[str]:
    return [row[0] for row in database.read(lambda db: db.execute("SELECT k FROM t").fetchall())]


async def test_a_failing_piece_undoes_itself_and_none_of_its_neighbours(
    database: Database,
) -> None:
    outcomes = await asyncio.gather(
        database.write(add("a")),
        database.write(add_and_fail("b")),
        database.write(add("c")),
        database.write(add("a")),
        return_exceptions=True,
    )

    assert outcomes[0] == "a"
    assert isinstance(outcomes[1], LookupError)
    assert outcomes[2] == "c"
    assert isinstance(outcomes[3], sqlite3.IntegrityError)
    assert sorted(keys(database)) == ["a", "c"]


def refuse(_: sqlite3.Connection) -> None:
    raise LookupError("refused before anything was changed")


async def test_a_piece_that_undoes_itself_fails_without_its_neighbours(database: Database) -> None:
    outcomes = await asyncio.gather(
        database.write(add("a"), undoes_itself=True),
        database.write(refuse, undoes_itself=True),
        database.write(add("b")),
        return_exceptions=True,
    )

    assert outcomes[0] == "a"
    assert isinstance(outcomes[1], LookupError)
    assert sorted(keys(database)) == ["a", "b"]


@pytest.mark.parametrize("quick_commit_s", [0.0, 60.0], ids=["in-a-thread", "on-the-loop"])
async def test_an_error_of_sqlite_in_a_piece_that_undoes_itself_fails_the_group(
    tmp_path: Path, quick_commit_s: float
) -> None:
    """How much of it was done, only a savepoint could say; nobody was told that it is durable."""
    database = Database(tmp_path / "d.db", SCHEMA, quick_commit_s=quick_commit_s)
    outcomes = await asyncio.gather(
        database.write(add("a")),
        database.write(add("a"), undoes_itself=True),
        database.write(add("b")),
        return_exceptions=True,
    )

    assert all(isinstance(outcome, sqlite3.IntegrityError) for outcome in outcomes)
    assert keys(database) == []
    database.close()


async def test_a_piece_that_fails_alone_changes_nothing(database: Database) -> None:
    with pytest.raises(LookupError):
        await database.write(add_and_fail("a"))

    await database.write(add("b"))

    assert keys(database) == ["b"]


async def test_more_writes_than_a_group_holds_are_all_done(database: Database) -> None:
    wanted = [f"{n:04}" for n in range(600)]

    done = await asyncio.gather(*(database.write(add(key)) for key in wanted))

    assert done == wanted
    assert sorted(keys(database)) == wanted


async def test_what_was_answered_is_seen_by_another_process(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.db", SCHEMA)
    await database.write(add("a"))

    other = sqlite3.connect(tmp_path / "d.db")
    found = other.execute("SELECT k FROM t").fetchall()
    other.close()
    database.close()

    assert found == [("a",)]


@pytest.mark.parametrize("quick_commit_s", [0.0, 60.0], ids=["in-a-thread", "on-the-loop"])
def test_loops_in_several_threads_share_a_database(tmp_path: Path, quick_commit_s: float) -> None:
    database = Database(tmp_path / "d.db", SCHEMA, quick_commit_s=quick_commit_s)

    async def write_many(writer: int) -> None:
        for n in range(0, 60, 3):
            await asyncio.gather(*(database.write(add(f"{writer}-{n + m}")) for m in range(3)))

    threads = [
        threading.Thread(target=lambda writer=writer: asyncio.run(write_many(writer)))
        for writer in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys(database)) == 240
    database.close()


@pytest.mark.parametrize("quick_commit_s", [0.0, 60.0], ids=["in-a-thread", "on-the-loop"])
def test_a_loop_that_ended_does_not_hold_up_the_next(tmp_path: Path, quick_commit_s: float) -> None:
    database = Database(tmp_path / "d.db", SCHEMA, quick_commit_s=quick_commit_s)

    async def leave() -> None:
        asyncio.ensure_future(database.write(add("left")))  # noqa: RUF006  nobody waits for it
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0)

    asyncio.run(leave())
    asyncio.run(database.write(add("after")))

    assert "after" in keys(database)
    database.close()


def test_closing_finishes_what_was_asked_for(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.db", SCHEMA)

    async def ask_and_close() -> None:
        asked = [asyncio.ensure_future(database.write(add(str(n)))) for n in range(3)]
        # One turn of the loop: the writes are asked for, their group has not run yet.
        await asyncio.wait(asked, timeout=0)
        database.close()
        assert await asyncio.gather(*asked) == ["0", "1", "2"]

    asyncio.run(ask_and_close())

    again = Database(tmp_path / "d.db")
    assert keys(again) == ["0", "1", "2"]
    again.close()


async def test_a_closed_database_refuses_writes(database: Database) -> None:
    database.close()

    with pytest.raises(sqlite3.ProgrammingError):
        await database.write(add("a"))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    path.write_bytes(b"this is not SQLite" * 100)

    with pytest.raises(Unavailable, match="the file is damaged"):
        Database(path)


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
async def test_writers_share_a_commit_whatever_is_synced(
    tmp_path: Path, synchronous: Literal["FULL", "NORMAL"]
) -> None:
    database = Database(tmp_path / "d.db", SCHEMA, synchronous=synchronous)
    statements: list[str] = []

    def trace(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(statements.append)

    await database.write(trace)
    await asyncio.gather(*(database.write(add(str(n))) for n in range(16)))

    assert statements.count("COMMIT") == 2
    assert len(keys(database)) == 16
    database.close()
