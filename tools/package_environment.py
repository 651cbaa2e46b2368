"""An environment of its own for the package of an app: what Azure installs for it, and no more.

Python is 3.13, for which Azure's worker is a library that the package index has.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.app_modules import ROOT
from tools.app_requirements import lines_of

HOME: Final = ROOT / ".tools" / "packages"
WORKER: Final = {
    "dev.txt": ("azure-functions-runtime", "azurefunctions-extensions-base"),
    "local.txt": ("protobuf",),
}
"""Azure's worker library and what its messages are made of, and the locks with their versions."""
_UV: Final = ROOT / ".tools" / "uv" / "bin" / "python"


class NoPython(Exception):
    """There is no Python 3.13."""


def python() -> Path:
    """Return an interpreter of Python 3.13, of the PATH or of pyenv. Raises NoPython."""
    homes = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"]
    pythons = [path for home in homes for path in sorted(home.glob("3.13*/bin/python3.13"))]
    for candidate in (sys.executable, shutil.which("python3.13"), *pythons):
        if candidate is not None and _is_313(candidate):
            return Path(candidate)
    raise NoPython("Python 3.13 is not installed: Azure's worker library needs it")


def _is_313(interpreter: str | Path) -> bool:
    asked = [interpreter, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 13))"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0


def environment(package: Path) -> Path:
    """Return the interpreter of an environment with the requirements of *package*, by their hashes.

    Packages with the same requirements share one.
    """
    required = (package / "requirements.txt").read_text()
    return _installed("venv", required, "--require-hashes") / "bin" / "python"


def worker_library() -> Path:
    """Return the folder that has Azure's worker library, of the locked version."""
    locks = ROOT / "requirements"
    required = "".join(lines_of(locks / lock, names) for lock, names in WORKER.items())
    return _installed("worker", required, "--require-hashes", "--no-deps")


def _installed(kind: str, required: str, *options: str) -> Path:
    digest = hashlib.sha256(f"{python()} {options} {required}".encode()).hexdigest()[:16]
    place = HOME / f"{kind}-{digest}"
    if place.exists():
        return place
    HOME.mkdir(parents=True, exist_ok=True)
    # Made beside it and renamed: two runs may want it at once, and one may be ended.
    made = HOME / f"{place.name}.{os.getpid()}"
    _uv("venv", "--quiet", "--clear", "--relocatable", "--python", str(python()), str(made))
    listing = made / "requirements.txt"
    listing.write_text(required)
    _uv("pip", "install", "--quiet", "--python", str(made), "--index-strategy",
        "unsafe-best-match", *options, "-r", str(listing))  # fmt: skip
    try:
        made.rename(place)
    except OSError:
        shutil.rmtree(made)
    return place


def _uv(*words: str) -> None:
    subprocess.run([_UV, "-m", "tools.uv", *words], cwd=ROOT, check=True)
