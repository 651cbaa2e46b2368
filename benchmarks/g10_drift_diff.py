"""G10: comparing 10,000 resources of 43 properties, 1 % of them changed, with a typed report.

The peers are dictdiffer and deepdiff over the same dictionaries; the floors `==` of each pair, and
orjson with `==` for what comes as bytes.

Run as `.venv/bin/python benchmarks/g10_drift_diff.py`.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.drift_resources import desired, live  # noqa: E402
from benchmarks.peer_environments import output_of, peers_python  # noqa: E402
from benchmarks.rounds import Goal, run  # noqa: E402
from function_apps.drift.model.comparison import compare_all, compare_texts  # noqa: E402

DESIRED, LIVE = desired(), live()
TEXTS = [
    {name: json.dumps(each, sort_keys=True).encode() for name, each in resources.items()}
    for resources in (DESIRED, LIVE)
]


def rate(compare: Callable[[], object]) -> float:
    began = time.perf_counter()
    found = compare()
    took_s = time.perf_counter() - began
    assert found
    return 1 / took_s


def ours() -> float:
    return rate(partial(compare_all, DESIRED, LIVE))


def from_bytes() -> float:
    return rate(partial(compare_texts, *TEXTS))


def peer(name: str) -> float:
    """Run the peers' half in their own environment."""
    return float(output_of([peers_python(), "peer_diff.py", name], ROOT / "benchmarks"))


def main() -> int:
    return run(
        "G10 drift diff",
        "comparisons/s",
        {
            "ours": ours,
            "ours, from bytes": from_bytes,
            "dictdiffer": partial(peer, "dictdiffer"),
            "deepdiff": partial(peer, "deepdiff"),
            "floor: ==": partial(peer, "equality"),
            "floor: orjson and ==": partial(peer, "bytes"),
        },
        [
            Goal("ours", "dictdiffer", 20),
            Goal("ours", "deepdiff", 250),
            Goal("ours, from bytes", "floor: orjson and ==", 1 / 1.5),
        ],
        rounds=3,
    )


if __name__ == "__main__":
    sys.exit(main())
