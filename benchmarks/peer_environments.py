"""Where peers live: `.benchmarks/<name>/`, a virtual environment each, made on first use.

An environment counts only once everything is in it: `installed.txt` is written last and says which
versions were measured.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rounds import NotMeasured

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".benchmarks"


def python_of(name: str, requirements: Sequence[str]) -> Path:
    """Return the interpreter of peer *name* with *requirements* installed. Raises NotMeasured."""
    home = HOME / name
    python, receipt = home / "venv" / "bin" / "python", home / "installed.txt"
    if receipt.exists():
        return python
    home.mkdir(parents=True, exist_ok=True)
    # Of the interpreter below ours: an environment made inside another one inherits its links.
    base = getattr(sys, "_base_executable", sys.executable)
    output_of([base, "-m", "venv", "--clear", "venv"], home)
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    output_of([*pip, "install", "--quiet", *requirements], home)
    receipt.write_text(output_of([*pip, "freeze"], home))
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
