"""The peers of G10: dictdiffer, deepdiff, and the floors `==` and orjson with `==`.

Run by `g10_drift_diff.py` in the peers' own environment; prints comparisons a second.
"""

import sys
import time
from collections.abc import Callable

import orjson
from deepdiff import DeepDiff
from dictdiffer import diff
from drift_resources import desired, live

DESIRED, LIVE = desired(), live()
TEXTS = [
    {name: orjson.dumps(each, option=orjson.OPT_SORT_KEYS) for name, each in resources.items()}
    for resources in (DESIRED, LIVE)
]


def by_dictdiffer() -> int:
    return len(list(diff(DESIRED, LIVE)))


def by_deepdiff() -> int:
    return len(DeepDiff(DESIRED, LIVE).affected_paths)


def by_equality() -> int:
    return sum(DESIRED[name] != LIVE[name] for name in DESIRED)


def by_bytes() -> int:
    wanted, actual = TEXTS
    return sum(orjson.loads(wanted[name]) != orjson.loads(actual[name]) for name in wanted)


SIDES: dict[str, Callable[[], int]] = {
    "dictdiffer": by_dictdiffer, "deepdiff": by_deepdiff, "equality": by_equality,
    "bytes": by_bytes,
}  # fmt: skip
began = time.perf_counter()
assert SIDES[sys.argv[1]]() >= 100
print(1 / (time.perf_counter() - began))
