"""G3: how long one five-step workflow takes: alone (p50), and with 16 in flight (p99), FULL.

The peer is the Restate server with its Python SDK, asked over HTTP. The floor is the same seven
commits by hand on one SQLite connection: a start, and six episodes of an INSERT and an UPDATE.
Figures are workflows a second at that latency (1 / latency), so that more is better as in the other
scripts: half of Restate's latency is twice its figure.

Run as `.venv/bin/python benchmarks/g3_durable_latency.py`.
"""

import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import durable_ours, durable_peers
from benchmarks.rounds import Goal, NotMeasured, run

ALONE, CROWD = (1, 300), (16, 1000)
EPISODES = 6
EVENTS = "x" * 700
"""An episode of one completed and one scheduled activity has about as many characters."""


def at(latencies: list[float], share: float) -> float:
    return 1 / latencies[int(len(latencies) * share)]


def floor() -> float:
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE instance (id INTEGER PRIMARY KEY, status TEXT)")
        db.execute("CREATE TABLE history (id INTEGER, position INTEGER, events TEXT)")
        latencies = []
        for number in range(ALONE[1]):
            began = time.perf_counter()
            db.execute("INSERT INTO instance VALUES (?, 'Pending')", (number,))
            for position in range(EPISODES):
                db.execute("BEGIN IMMEDIATE")
                db.execute("UPDATE instance SET status='Running' WHERE id=?", (number,))
                db.execute("INSERT INTO history VALUES (?, ?, ?)", (number, position, EVENTS))
                db.execute("COMMIT")
            latencies.append(time.perf_counter() - began)
        db.close()
        return at(sorted(latencies), 0.5)


def main() -> int:
    with ExitStack() as stack:
        try:
            peer: durable_peers.Peer | NotMeasured = stack.enter_context(durable_peers.restate())
        except NotMeasured as why:
            peer = why

        def restate(in_flight: int, count: int, share: float) -> float:
            if isinstance(peer, NotMeasured):
                raise peer
            return at(peer.measure(in_flight, count)["latencies_s"], share)

        def ours(in_flight: int, count: int, share: float) -> float:
            return at(durable_ours.measure(in_flight, count)["latencies_s"], share)

        sides = {
            "ours, alone, p50": lambda: ours(*ALONE, 0.5),
            "Restate, alone, p50": lambda: restate(*ALONE, 0.5),
            "floor, alone, p50": floor,
            "ours, 16 in flight, p99": lambda: ours(*CROWD, 0.99),
            "Restate, 16 in flight, p99": lambda: restate(*CROWD, 0.99),
        }
        goals = [
            Goal("ours, alone, p50", "Restate, alone, p50", 1 / 0.5),
            Goal("ours, alone, p50", "floor, alone, p50", 1 / 5),
            Goal("ours, 16 in flight, p99", "Restate, 16 in flight, p99", 1 / 0.6),
        ]
        return run("G3 latency of five activities in sequence", "1/s", sides, goals)


if __name__ == "__main__":
    sys.exit(main())
