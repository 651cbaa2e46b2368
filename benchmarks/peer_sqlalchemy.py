"""The peer of G6: the same rows through SQLAlchemy Core.

Run by `g6_command_commit.py` in the peer's own environment; prints commands a second.
"""

import json
import sys
import threading
import time
from typing import Any

import sqlalchemy as sa

path, (AGGREGATE, EVENT, WRITERS, COMMANDS) = sys.argv[1], json.loads(sys.argv[2])
engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60}, pool_size=WRITERS)
metadata = sa.MetaData()
tables = {
    name: sa.Table(
        name,
        metadata,
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        *([sa.Column("etag", sa.Integer)] if name == "aggregate" else []),
        sa.Column("body", sa.Text),
    )
    for name in ("aggregate", "outbox", "inbox")
}


@sa.event.listens_for(engine, "connect")
def durable(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


@sa.event.listens_for(engine, "begin")
def begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def write(writer: int) -> None:
    aggregates, tenant = tables["aggregate"], f"tenant-{writer}"
    for n in range(COMMANDS):
        event = json.dumps({**EVENT, "n": n})
        with engine.begin() as connection:
            done = connection.execute(
                sa.update(aggregates)
                .where(
                    aggregates.c.tenant == tenant,
                    aggregates.c.id == "aggregate",
                    aggregates.c.etag == n - 1,
                )
                .values(etag=n, body=json.dumps({**AGGREGATE, "n": n}))
            ).rowcount
            assert done == 1
            rows = [{"tenant": tenant, "id": f"{n}-{row}", "body": event} for row in (1, 2)]
            connection.execute(sa.insert(tables["outbox"]), rows)
            inbox = {"tenant": tenant, "id": str(n), "body": json.dumps({"result": {"n": n}})}
            connection.execute(sa.insert(tables["inbox"]), inbox)


metadata.create_all(engine)
with engine.begin() as connection:
    for writer in range(WRITERS):
        row = {"tenant": f"tenant-{writer}", "id": "aggregate", "etag": -1, "body": "{}"}
        connection.execute(sa.insert(tables["aggregate"]), row)
threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
started = time.perf_counter()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(WRITERS * COMMANDS / (time.perf_counter() - started))
