"""Evaluates environment programs, each in a child process that ends with the call."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from pydantic import TypeAdapter

from shared.infrastructure.errors import EvaluationDefect
from shared.infrastructure.graph import Graph, digest
from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.local_program import PROJECT
from shared.infrastructure.port import StackName
from shared.kernel.concurrency import FairTurns
from shared.kernel.errors import PlanRefused, Unavailable, Violation

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = "infra.pulumi.environment.program:environment"
SOURCES: Final = (
    "infra/pulumi/environment/*.py",
    "shared/infrastructure/*.py",
    "local_cloud/infrastructure/*.py",
)
"""Everything that decides a graph, besides the inputs."""
TIMEOUT_S: Final = 60.0
"""A cold import of the Azure SDK takes seconds on a loaded machine, a resource 20 ms."""
CACHE_MAX: Final = 64
"""Graphs are tens of kilobytes; this covers every environment that is being planned."""
ENVIRON_NAMES: Final = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
ENVIRON_PREFIXES: Final = ("PYTHON", "COVERAGE", "LC_")
ANSWER_MAX: Final = 16 * 1024 * 1024
"""A resource takes about 2 KB, and an environment has far fewer than thousands."""
MESSAGE_MAX: Final = 500
NICENESS: Final = 10
"""Planning takes half a second of a processor; requests that wait for one come first."""
CHUNK: Final = 64 * 1024
_GRAPH: Final = TypeAdapter(Graph)


class ChildEvaluator:
    """An Evaluator that runs each distinct evaluation once and keeps the latest graphs."""

    def __init__(
        self, *, program: str = PROGRAM, root: Path = ROOT, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._program = program
        self._root = root
        self._timeout_s = timeout_s
        # A child holds up to 190 MB. One tenant alone gets one of the places, the next comer the
        # other; equal requests wait and share.
        self._turns = FairTurns(2)
        # Of its own: a child is waited for longer than others can wait for the loop's threads.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="plan")
        self._graphs: dict[str, Graph] = {}
        self.evaluations = 0

    async def evaluate(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
        key = digest({"sources": self._sources(), "stack": stack, "inputs": asdict(inputs)})
        if key in self._graphs:
            return self._latest(key, self._graphs[key])
        async with self._turns.turn(inputs.tenant_id):
            return self._latest(key, self._graphs.get(key) or await self._run(stack, inputs))

    def _latest(self, key: str, graph: Graph) -> Graph:
        """Keep *graph* as the one that was used last, and return it."""
        self._graphs.pop(key, None)
        self._graphs[key] = graph
        if len(self._graphs) > CACHE_MAX:
            del self._graphs[next(iter(self._graphs))]
        return graph

    def _sources(self) -> str:
        content = hashlib.sha256(self._program.encode())
        for path in sorted(path for pattern in SOURCES for path in self._root.glob(pattern)):
            content.update(path.name.encode() + b"\0" + path.read_bytes())
        return content.hexdigest()

    async def _run(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
        self.evaluations += 1
        request = {
            "program": self._program,
            "project": PROJECT,
            "stack": stack,
            "timeout_s": self._timeout_s,
            "inputs": asdict(inputs),
        }
        # The loop's own way to start a process forks the host: 7 to 20 ms for everybody.
        with _started(self._root) as child:
            asked = self._exchange(child, json.dumps(request).encode())
            exchange = asyncio.ensure_future(asked)
            try:
                async with asyncio.timeout(self._timeout_s):
                    out, err = await asyncio.shield(exchange)
            except TimeoutError as late:
                message = f"the environment program did not end within {self._timeout_s:g} s"
                raise Unavailable(message, retry_after_s=5) from late
            finally:
                _kill(child)
                await asyncio.wait([exchange])
        return _graph(child.returncode, out, err)

    async def _exchange(
        self, child: "subprocess.Popen[bytes]", request: bytes
    ) -> tuple[bytes, bytes]:
        """Return the answer to *request* and the end of the text on standard error.

        Raises:
            EvaluationDefect: the answer is longer than ANSWER_MAX.
        """
        assert child.stderr is not None
        run = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        return await asyncio.gather(run(_ask, child, request), run(_tail, child.stderr))


def _started(root: Path) -> "subprocess.Popen[bytes]":
    child = subprocess.Popen(
        [sys.executable, "-m", "local_cloud.infrastructure.evaluation_child"],
        cwd=root, env=_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    if os.name == "posix":
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, child.pid, min(ours + NICENESS, 19))
    return child


def _ask(child: "subprocess.Popen[bytes]", request: bytes) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    # A child that ended before it read its request says why on standard error.
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(request)
    content = child.stdout.read(ANSWER_MAX + 1)
    if len(content) > ANSWER_MAX:
        raise EvaluationDefect(f"the graph is longer than {ANSWER_MAX} bytes", "")
    child.wait()
    return content


def _tail(stream: IO[bytes]) -> bytes:
    tail = b""
    while chunk := stream.read(CHUNK):
        tail = (tail + chunk)[-MESSAGE_MAX:]
    return tail


def _kill(child: "subprocess.Popen[bytes]") -> None:
    """End *child* and the processes that it started."""
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


def _environ() -> dict[str, str]:
    # The program follows from its inputs alone: no setting, and no credential, reaches it.
    return {
        name: value
        for name, value in os.environ.items()
        if name in ENVIRON_NAMES or name.startswith(ENVIRON_PREFIXES)
    }


def _graph(code: int | None, out: bytes, err: bytes) -> Graph:
    try:
        answer: Mapping[str, Any] = json.loads(out)
    except ValueError as silent:
        tail = err.decode(errors="replace")
        if code is not None and code < 0:
            raise Unavailable(f"the evaluation was ended by signal {-code}: {tail}") from silent
        raise EvaluationDefect(f"the evaluation ended with code {code}", tail) from silent
    match answer:
        case {"graph": graph}:
            return _GRAPH.validate_python(graph)
        case {"refused": {"code": code, "message": message, "details": details}}:
            violations = [Violation(**detail) for detail in details]
            raise PlanRefused(message, code=code, details=violations)
        case {"missing": module}:
            raise PlanRefused(
                f"the program for these compute targets needs the Python package {module!r}, which "
                "is not installed here (dependency group azure-infra)",
                code="ProgramUnavailable",
                target="/computeTargets",
            )
        case _:
            raise EvaluationDefect(str(answer.get("defect")), str(answer.get("where")))
