"""G1: five activities one after the other, 16 workflows in flight, every step durable (FULL).

Peers: the Restate server with its Python SDK and DBOS on SQLite (WAL, FULL). Ours goes through
azure-functions-durable's replay and is started in its own process, as DBOS is; Restate is asked
over HTTP, the only way it has.

Run as `.venv/bin/python benchmarks/g1_durable_sequence.py`.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import durable_ours, durable_peers
from benchmarks.rounds import Goal, NotMeasured, run

IN_FLIGHT = 16


def main() -> int:
    with ExitStack() as stack:
        peers = {}
        for name, start in (("Restate", durable_peers.restate), ("DBOS", durable_peers.dbos)):
            try:
                peers[name] = stack.enter_context(start())
            except NotMeasured as why:
                peers[name] = why

        def rate(name: str, count: int) -> float:
            peer = peers[name]
            if isinstance(peer, NotMeasured):
                raise peer
            return peer.measure(IN_FLIGHT, count)["rate"]

        sides = {
            "ours": lambda: durable_ours.measure(IN_FLIGHT, 1500)["rate"],
            "Restate": lambda: rate("Restate", 800),
            "DBOS": lambda: rate("DBOS", 200),
        }
        goals = [Goal("ours", "Restate", 1.2), Goal("ours", "DBOS", 3)]
        return run("G1 five activities in sequence, 16 in flight", "workflows/s", sides, goals)


if __name__ == "__main__":
    sys.exit(main())
