"""G2: twenty activities at once, their results added up, 16 workflows in flight (FULL).

Peers and ways as in G1.

Run as `.venv/bin/python benchmarks/g2_durable_fan_out.py`.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import durable_ours, durable_peers
from benchmarks.rounds import Goal, NotMeasured, run

IN_FLIGHT = 16
WORKFLOW = "fan_out"


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
            return peer.measure(IN_FLIGHT, count, WORKFLOW)["rate"]

        sides = {
            "ours": lambda: durable_ours.measure(IN_FLIGHT, 400, WORKFLOW)["rate"],
            "Restate": lambda: rate("Restate", 400),
            "DBOS": lambda: rate("DBOS", 50),
        }
        goals = [Goal("ours", "Restate", 0.6), Goal("ours", "DBOS", 10)]
        return run("G2 twenty activities at once, 16 in flight", "workflows/s", sides, goals)


if __name__ == "__main__":
    sys.exit(main())
