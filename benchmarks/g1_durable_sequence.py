"""G1: five activities one after the other, 16 workflows in flight, every step durable (FULL).

Peers: the Restate server with its Python SDK and DBOS on SQLite (WAL, FULL). Ours goes through
azure-functions-durable's replay and is started in its own process, as DBOS is; Restate is asked
over HTTP, the only way it has.

Run as `.venv/bin/python benchmarks/g1_durable_sequence.py`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.durable_rates import compare

COUNTS = {"ours": 1500, "Restate": 800, "DBOS": 200}
GOALS = {"Restate": 1.2, "DBOS": 3}


def main() -> int:
    return compare("G1 five activities in sequence", "sequence", COUNTS, GOALS)


if __name__ == "__main__":
    sys.exit(main())
