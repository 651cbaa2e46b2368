"""G2: twenty activities at once, their results added up, 16 workflows in flight (FULL).

Peers and ways as in G1.

Run as `.venv/bin/python benchmarks/g2_durable_fan_out.py`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.durable_rates import compare

COUNTS = {"ours": 400, "Restate": 400, "DBOS": 50}
GOALS = {"Restate": 0.6, "DBOS": 10}


def main() -> int:
    return compare("G2 twenty activities at once", "fan_out", COUNTS, GOALS)


if __name__ == "__main__":
    sys.exit(main())
