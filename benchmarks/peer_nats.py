"""NATS JetStream's side of G7: the real server, synced at each message, and its Python client.

Run by `g7_events.py` in the peer's own environment; prints the events a second that four
subscribers have handled. The effect is the same as ours, 256 a commit, before they acknowledge.
"""

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nats
from nats.js.api import ConsumerConfig, StorageType, StreamConfig

SERVER, FOLDER, PORT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
EVENTS, BODY_BYTES, SENDERS, GROUP = (int(word) for word in sys.argv[4:8])
IDS = [f"evt-{n}" for n in range(EVENTS)] + [f"evt-{n}" for n in range(0, EVENTS, 20)]
SUBSCRIBERS = ("one", "two", "three", "four")
EFFECTS = (
    "CREATE TABLE effect (subscriber TEXT, event TEXT,"
    " PRIMARY KEY (subscriber, event)) WITHOUT ROWID"
)


async def publish(stream: Any, events: list[str]) -> None:
    for event in events:
        # Without Nats-Msg-Id, by which the server would drop the duplicates: the effect does.
        await stream.publish("events", b"x" * BODY_BYTES, headers={"event": event})


async def handle(stream: Any, name: str, db: sqlite3.Connection) -> None:
    handled = 0
    config = ConsumerConfig(max_ack_pending=4 * GROUP)
    subscription = await stream.pull_subscribe("events", durable=name, config=config)
    while handled < len(IDS):
        try:
            messages = await subscription.fetch(GROUP, timeout=5)
        except nats.errors.TimeoutError:
            continue
        effects = [(name, message.headers["event"]) for message in messages]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT OR IGNORE INTO effect VALUES (?, ?)", effects)
        db.execute("COMMIT")
        for message in messages:
            await message.ack()
        handled += len(messages)


async def ignored(_problem: Exception) -> None:
    """The server is not there yet."""


async def connected() -> Any:
    for _ in range(300):
        try:
            return await nats.connect(
                f"nats://127.0.0.1:{PORT}",
                allow_reconnect=False,
                connect_timeout=5,
                error_cb=ignored,
            )
        except (OSError, nats.errors.Error):
            await asyncio.sleep(0.05)  # noqa: TID251  a peer's own process
    raise SystemExit("nats-server did not start")


async def measured() -> float:
    db = sqlite3.connect(FOLDER / "effects.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(EFFECTS)
    client = await connected()
    stream = client.jetstream()
    await stream.add_stream(
        StreamConfig(name="events", subjects=["events"], storage=StorageType.FILE)
    )
    begun = time.perf_counter()
    await asyncio.gather(
        *(publish(stream, IDS[n::SENDERS]) for n in range(SENDERS)),
        *(handle(stream, name, db) for name in SUBSCRIBERS),
    )
    rate = EVENTS / (time.perf_counter() - begun)
    (found,) = db.execute("SELECT count(*) FROM effect").fetchone()
    assert found == EVENTS * len(SUBSCRIBERS), f"{found} effects"
    await client.close()
    return rate


def main() -> None:
    configuration = FOLDER / "nats.conf"
    configuration.write_text(
        f"host: 127.0.0.1\nport: {PORT}\n"
        f'jetstream {{ store_dir: "{FOLDER}/data", sync_interval: always }}\n'
    )
    with (FOLDER / "nats.log").open("w") as log:
        server = subprocess.Popen([SERVER, "-c", configuration], stdout=log, stderr=log)
    try:
        print(asyncio.run(measured()))
    finally:
        server.terminate()
        server.wait()


main()
