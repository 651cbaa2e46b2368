"""Where peers live: `.benchmarks/`, with one virtual environment of all that are Python's.

It counts only once everything is in it: `installed.txt`, the lock it was made from, comes last.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rounds import NotMeasured

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".benchmarks"
LOCK = ROOT / "requirements" / "bench.txt"


def peers_python() -> Path:
    """Return the interpreter that has the peers of `requirements/bench.txt`. Raises NotMeasured."""
    python, receipt = HOME / "venv" / "bin" / "python", HOME / "installed.txt"
    if receipt.exists() and receipt.read_text() == LOCK.read_text():
        return python
    HOME.mkdir(exist_ok=True)
    # Of the interpreter below ours: an environment made inside another one inherits its links.
    base = getattr(sys, "_base_executable", sys.executable)
    output_of([base, "-m", "venv", "--clear", "venv"], HOME)
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    output_of([*pip, "install", "--quiet", "--require-hashes", "-r", LOCK], HOME)
    receipt.write_text(LOCK.read_text())
    return python


def output_of(command: Sequence[str | Path], folder: Path) -> str:
    """Run *command* in *folder*. Raises NotMeasured with the last line of what went wrong."""
    try:
        done = subprocess.run(
            [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as missing:
        raise NotMeasured(str(missing)) from missing
    if done.returncode:
        raise NotMeasured((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout
