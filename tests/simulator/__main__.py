"""`python -m tests.simulator --seed 7`, or `--seeds 1-500`; hash seeds are fixed for the replay."""

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.simulator.marks import ALL_MARKS_SEEDS, MARKS
from tests.simulator.simulation import Outcome, simulate


def main() -> int:
    """Run the seeds that were asked for; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="make sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one again, exactly")
    parser.add_argument("--seeds", default="1-100", help="from-to, both run, or the last: from 1")
    asked = parser.parse_args()
    first, _, last = asked.seeds.rpartition("-")
    seeds = [asked.seed] if asked.seed is not None else range(int(first or 1), int(last) + 1)
    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    failed = []
    with ProcessPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as workers:
        for outcome in workers.map(simulate, seeds):
            total += outcome.reached
            faults += outcome.faults
            marks += Counter(dict.fromkeys(outcome.marks, 1))
            failed += [outcome.seed] if outcome.broken else []
            _show(outcome, is_alone=asked.seed is not None)
    print(f"{len(seeds)} seeds, {len(failed)} with a broken promise: {failed}")
    print("faults:", dict(faults))
    never = [mark for mark in MARKS if not marks[mark]]
    for mark in MARKS:
        print(f"  {marks[mark]:6} of {len(seeds)} seeds: {mark}")
    print(f"never reached: {never}")
    return 1 if failed or (never and len(seeds) >= ALL_MARKS_SEEDS) else 0


def _show(outcome: Outcome, *, is_alone: bool) -> None:
    if outcome.broken or is_alone:
        print(f"seed {outcome.seed}: digest {outcome.digest[:16]}")
        print("\n".join(f"  {each}" for each in outcome.broken), flush=True)
    if is_alone:
        for name, count in sorted(outcome.reached.items()):
            print(f"  {count:6} {name}")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulator", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
