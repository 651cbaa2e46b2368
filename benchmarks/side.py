"""One side of `pairs.py`: what one benchmark says of our own code, measured once, no peers.

Run by it in the root of a checkout with that checkout's interpreter. The benchmark is the
checkout's own; prints one JSON line: whether more is better, and the figures by row.
"""

import json
import runpy
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path.cwd()
sys.path.insert(0, str(ROOT))

from benchmarks import durable_peers, rounds  # noqa: E402


def answer(figures: Mapping[str, float], *, more_is_better: bool) -> NoReturn:
    print(json.dumps({"more_is_better": more_is_better, "figures": figures}))
    sys.exit(0)


def measure_once(
    _title: str, _unit: str, sides: Mapping[str, Callable[[], float]], *_: Any, **__: Any
) -> NoReturn:
    ours = {name: measure() for name, measure in sides.items() if name.startswith("ours")}
    answer(ours, more_is_better=True)


@contextmanager
def no_peer() -> Any:
    raise rounds.NotMeasured("peers are not part of a pair")
    yield


def main() -> int:
    (script,) = ROOT.glob(f"benchmarks/{sys.argv[1]}_*.py")
    sys.argv = [str(script)]
    rounds.run = measure_once
    durable_peers.restate = durable_peers.dbos = no_peer
    own = runpy.run_path(str(script), run_name="side").get("figures")
    if own is not None:  # seconds and sizes of a boot, no rates
        answer(own(), more_is_better=False)
    return int(bool(runpy.run_path(str(script), run_name="__main__")))


if __name__ == "__main__":
    sys.exit(main())
