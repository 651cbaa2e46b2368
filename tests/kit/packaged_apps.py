"""Packages of the apps in environments of their own, run by Azure's own worker library.

`azure-functions-runtime` is what runs a Python app in Azure from Python 3.13 on. Each environment
has the requirements of its package and nothing else; the library and protobuf lie in a folder of
their own, as in Azure.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tools.package_environment import NoPython, environment, worker_library

DRIVER: Final = Path(__file__).parent / "azure_worker" / "driver.py"


def interpreter(package: Path) -> Path:
    """Return the interpreter of the environment of *package*; without Python 3.13 skip the test."""
    try:
        return environment(package)
    except NoPython as problem:
        pytest.skip(str(problem))


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
def working(
    package: Path, environ: Mapping[str, str], log: Path, *, python: Path | None = None
) -> Iterator[Worker]:
    """Run Azure's worker library on *package* with the app settings *environ*.

    *python* is the interpreter of an environment that has what the package requires.
    """
    command: Sequence[str | Path] = [python or interpreter(package), "-P", DRIVER]
    library = site_packages(worker_library())
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
