"""G6: a command's commit: etag check, aggregate, 2 outbox rows and 1 inbox row, 16 writers, FULL.

Ours is `SqliteStore.batch` on the loop that the host runs on: JSON, etags, change feed and
all-or-nothing included. The peer does the same statements through SQLAlchemy Core on SQLite (WAL,
FULL), 16 threads that each commit. The floor does them by hand on one connection: grouped, 16
commands a commit; alone, one.

Run as `.venv/bin/python benchmarks/g6_command_commit.py [FOLDER]`; the databases are made below
FOLDER.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.peer_environments import output_of, peers_python  # noqa: E402
from benchmarks.rounds import Goal, run  # noqa: E402
from local_cloud.sqlite.database import Database  # noqa: E402
from local_cloud.sqlite.store import SqliteStore  # noqa: E402
from shared.kernel.clock import SystemClock  # noqa: E402
from shared.persistence.store import Create, Partition, Replace, Upsert  # noqa: E402

WRITERS = 16
COMMANDS = 500
"""Of each writer, in one round."""
ALONE = 2000
AGGREGATE = {
    "status": "RollingOut", "environment": "env-abcdefghijkl", "strategy": "canary",
    "steps": [{"weight": weight, "verdict": None} for weight in (5, 25, 50, 100)],
    "release": {"digest": "sha256:" + "0" * 64, "version": "1.2.3"},
}  # fmt: skip
EVENT = {
    "kind": "publish", "event": {"eventType": "RuntimeDeploymentStepChanged", "data": AGGREGATE},
}  # fmt: skip
SCHEMA = """
CREATE TABLE aggregate (tenant TEXT, id TEXT, etag INTEGER, body TEXT, PRIMARY KEY (tenant, id));
CREATE TABLE outbox (tenant TEXT, id TEXT, body TEXT, PRIMARY KEY (tenant, id));
CREATE TABLE inbox (tenant TEXT, id TEXT, body TEXT, PRIMARY KEY (tenant, id));
"""


def ours(path: Path, writers: int, commands: int) -> float:
    async def main() -> float:
        database = Database(path)
        store = SqliteStore(database, "deployments", SystemClock())
        started = time.perf_counter()
        await asyncio.gather(*(commit(store, n, commands) for n in range(writers)))
        rate = writers * commands / (time.perf_counter() - started)
        database.close()
        return rate

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


async def commit(store: SqliteStore, writer: int, commands: int) -> None:
    here = Partition(f"tenant-{writer}", "k1")
    (etag,) = await store.batch(here, [Upsert("aggregate", {**AGGREGATE, "n": -1})])
    for n in range(commands):
        assert etag is not None
        etag, *_ = await store.batch(
            here,
            [
                Replace("aggregate", {**AGGREGATE, "n": n}, etag),
                Create(f"outbox/{n}-1", {**EVENT, "n": n}),
                Create(f"outbox/{n}-2", {**EVENT, "n": n}),
                Create(f"inbox/{n}", {"result": {"n": n}}, ttl_s=604_800),
            ],
        )


def floor(path: Path, writers: int, commands: int) -> float:
    """The same rows by hand; *writers* commands a commit."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.executescript(SCHEMA)
    for writer in range(writers):
        row = (f"tenant-{writer}", "aggregate", -1, json.dumps(AGGREGATE))
        db.execute("INSERT INTO aggregate VALUES (?, ?, ?, ?)", row)
    started = time.perf_counter()
    for n in range(commands):
        db.execute("BEGIN IMMEDIATE")
        for writer in range(writers):
            tenant = f"tenant-{writer}"
            aggregate, event = json.dumps({**AGGREGATE, "n": n}), json.dumps({**EVENT, "n": n})
            done = db.execute(
                "UPDATE aggregate SET etag = ?, body = ? WHERE tenant = ? AND id = ? AND etag = ?",
                (n, aggregate, tenant, "aggregate", n - 1),
            ).rowcount
            assert done == 1
            for row in (1, 2):
                db.execute("INSERT INTO outbox VALUES (?, ?, ?)", (tenant, f"{n}-{row}", event))
            inbox = json.dumps({"result": {"n": n}})
            db.execute("INSERT INTO inbox VALUES (?, ?, ?)", (tenant, str(n), inbox))
        db.execute("COMMIT")
    rate = writers * commands / (time.perf_counter() - started)
    db.close()
    return rate


def peer(path: Path) -> float:
    """Run this file's other half, `peer_sqlalchemy.py`, in the peer's own environment."""
    payload = json.dumps([AGGREGATE, EVENT, WRITERS, COMMANDS // 5])
    python = peers_python()
    return float(output_of([python, "peer_sqlalchemy.py", path, payload], ROOT / "benchmarks"))


def main() -> int:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        made = 0

        def fresh(measure: Callable[..., float], *arguments: int) -> Callable[[], float]:
            def once() -> float:
                nonlocal made
                made += 1
                return measure(Path(folder) / f"{made}.db", *arguments)

            return once

        sides = {
            "ours, 16 writers": fresh(ours, WRITERS, COMMANDS),
            "SQLAlchemy Core, 16 writers": fresh(peer),
            "floor, 16 a commit": fresh(floor, WRITERS, COMMANDS),
            "ours, alone": fresh(ours, 1, ALONE),
            "floor, alone": fresh(floor, 1, ALONE),
        }
        goals = [
            Goal("ours, 16 writers", "SQLAlchemy Core, 16 writers", 8),
            Goal("ours, 16 writers", "floor, 16 a commit", 0.6),
            Goal("ours, alone", "floor, alone", 0.8),
        ]
        return run("G6 command commit at synchronous=FULL", "commands/s", sides, goals)


if __name__ == "__main__":
    sys.exit(main())
