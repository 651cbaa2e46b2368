"""Packages of the apps in environments of their own, run by Azure's own worker library.

`azure-functions-runtime` is what runs a Python app in Azure from Python 3.13 on. Each environment
has the requirements of its package and nothing else; the library and protobuf lie in a folder of
their own, as in Azure.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.kit.real_system import REPOSITORY
from tools.app_requirements import lines_of

HOME: Final = REPOSITORY / ".tools" / "packages"
DRIVER: Final = Path(__file__).parent / "azure_worker" / "driver.py"
WORKER: Final = {
    "dev.txt": ("azure-functions-runtime", "azurefunctions-extensions-base"),
    "local.txt": ("protobuf",),
}
"""What judges, and the locks that say which version."""
_UV: Final = REPOSITORY / ".tools/uv/bin/python"


def python() -> Path:
    """Return an interpreter of Python 3.13, of the PATH or of pyenv."""
    homes = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"]
    found = [path for home in homes for path in sorted(home.glob("3.13*/bin/python3.13"))]
    for candidate in (sys.executable, shutil.which("python3.13"), *found):
        if candidate is not None and _is_313(candidate):
            return Path(candidate)
    pytest.skip("Python 3.13 is not installed: Azure's worker library needs it")


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
    locks = REPOSITORY / "requirements"
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
    subprocess.run([_UV, "-m", "tools.uv", *words], cwd=REPOSITORY, check=True)


def site_packages(place: Path) -> Path:
    return next(place.glob("lib/python3.*/site-packages"))


@dataclass(frozen=True)
class Invoked:
    """How one invocation ended: what it returned, or why it failed."""

    answer: Mapping[str, Any]

    @property
    def failure(self) -> str:
        return str(self.answer["result"].get("exception", {}).get("message", ""))

    @property
    def http(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.answer["return_value"]["http"]
        return found

    @property
    def status(self) -> int:
        return int(self.http["status_code"])


class Worker:
    """Azure's worker library with one package loaded; `functions` is what it has indexed."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._asked = 0
        self.functions: Mapping[str, Mapping[str, Any]] = {}

    def load(self) -> Self:
        """Do what the Functions host does at a start: initialise, index, load each function."""
        folder = str(self._folder)
        ready = self.ask(worker_init_request={"function_app_directory": folder})
        assert ready["result"]["status"] == "Success", ready["result"]["exception"]
        indexed = self.ask(functions_metadata_request={"function_app_directory": folder})
        found = {each["name"]: each for each in indexed["function_metadata_results"]}
        for each in found.values():
            loaded = self.ask(
                function_load_request={"function_id": each["function_id"], "metadata": each}
            )
            assert loaded["result"]["status"] == "Success"
        self.functions = found
        return self

    def ask(self, **content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one message of the protocol; return the content of the answer."""
        self._asked += 1
        asked = json.dumps({"request_id": str(self._asked), **content})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(asked + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the worker ended; its standard error says why"
        answer = json.loads(line)
        assert answer.pop("request_id") == str(self._asked)
        (given,) = answer.values()
        return dict(given)

    def invoke(
        self,
        function: str,
        metadata: Mapping[str, Any] | None = None,
        traceparent: str = "",
        **inputs: Mapping[str, Any],
    ) -> Invoked:
        """Run *function* with *inputs*, each `{"json": …}`, `{"string": …}` or `{"http": …}`.

        *traceparent* names the span of the host around it.
        """
        request = {
            "invocation_id": f"invocation-{self._asked}",
            "function_id": self.functions[function]["function_id"],
            "input_data": [{"name": name, "data": data} for name, data in inputs.items()],
            "trigger_metadata": metadata or {},
            "trace_context": {"trace_parent": traceparent},
        }
        return Invoked(self.ask(invocation_request=request))


@contextmanager
def working(package: Path, environ: Mapping[str, str], log: Path) -> Iterator[Worker]:
    """Run Azure's worker library on *package* with the app settings *environ*."""
    library = site_packages(worker_library())
    command: Sequence[str | Path] = [environment(package), "-P", DRIVER]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=package, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, env={"PYTHONPATH": str(library), **environ},
        ) as process,
    ):  # fmt: skip
        try:
            yield Worker(process, package)
        finally:
            process.kill()
