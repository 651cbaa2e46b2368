"""Run every benchmark, one after the other, and say at the end how each of them went.

Run as `.venv/bin/python -m benchmarks [g15 …]`, or `make bench`; with names, those alone.

Exits 0 when every goal was reached, 1 when one was missed or a script broke, else 3: a peer was not
measured here. Nothing stops at the first of them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import running
from benchmarks.rounds import MISSED, NOT_MEASURED

HERE = Path(__file__).resolve().parent
WORDS = {0: "reached", MISSED: "MISSED", NOT_MEASURED: "not measured"}


def _number(script: Path) -> int:
    return int(script.stem.split("_")[0].removeprefix("g"))


def main(names: Sequence[str]) -> int:
    scripts = [
        script
        for script in sorted(HERE.glob("g*_*.py"), key=_number)
        if not names or script.stem.split("_")[0] in names
    ]
    codes = {}
    for script in scripts:
        print(f"\n{script.name}", flush=True)
        with running([sys.executable, script]) as process:
            codes[script.stem] = process.wait()
    print()
    for name, code in codes.items():
        print(f"{WORDS.get(code, f'ended with {code}'):<16}{name}")
    wrong = set(codes.values()) - {0, NOT_MEASURED}
    return MISSED if wrong else max(codes.values(), default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
