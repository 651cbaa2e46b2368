"""G12: what a command or event costs its store, counted in the running system.

Floor: one read and one batch, which is what an optimistic write must ask at least.
"""

import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kit.cost_table import ONE, TABLE, observed
from tests.kit.costs import Invocation

FORM = "{:<14}{:<58}{:>7}{:>7}{:>9}{:>9}{:>7}"


def main() -> int:
    found: dict[tuple[str, str], list[Invocation]] = defaultdict(list)
    for releases in (1, 4):
        for each in observed(releases):
            found[each.service, each.input].append(each)
    print(FORM.format("service", "input", "runs", "reads", "queries", "batches", "docs"))
    missed = []
    for row, allowed in TABLE.items():
        worst = max(found[row], key=lambda each: each.cost)
        documents = max(each.documents for each in found[row])
        print(FORM.format(*row, len(found[row]), *worst.cost, documents), allowed.reason)
        if worst.cost > (allowed.reads, allowed.queries, allowed.batches):
            missed.append(row)
    share = sum(allowed == ONE for allowed in TABLE.values())
    print(f"one read and one batch: {share} of {len(TABLE)}; over the table: {missed or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
