"""G17: p99 of a workload beside a hostile one, quiet and attacked.

The quiet time of the same run, half as long as the attack, is what it is compared with. Run for an
agent of root, where root runs it, and for one of a normal user.

Run as `.venv/bin/python benchmarks/g17_hostile_neighbour.py [ATTACK …]`.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.rounds import MISSED  # noqa: E402
from tests.surfaces.accounts import account  # noqa: E402
from tests.surfaces.hostile_neighbour import ATTACKS  # noqa: E402

ATTACK_S = 6.0
RATIO_MAX = 3.0


def p99(figures: Sequence[float]) -> float:
    return statistics.quantiles(figures, n=100, method="inclusive")[98]


def seen(name: str, attacks: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    with account(name) as platform:
        printed = platform.run_module(
            "tests.surfaces.hostile_neighbour",
            str(platform.folder), str(ATTACK_S), *attacks,
            within_s=60 * len(attacks),
        )  # fmt: skip
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def main(attacks: Sequence[str]) -> int:
    is_missed = False
    for name in ("root", "user"):
        runs = seen(name, attacks)
        quiet_ms = p99([ms for run in runs for ms in run["quiet_ms"]])
        print(f"an agent of {name}: quiet p99 {quiet_ms:.1f} ms")
        for run in runs:
            ratio = p99(run["attacked_ms"]) / quiet_ms
            is_missed |= ratio > RATIO_MAX or run["failed"] > 0
            print(f"  {run['attack']:<24} p99 {ratio:4.1f} x   failed {run['failed']}")
    return MISSED if is_missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ATTACKS))
