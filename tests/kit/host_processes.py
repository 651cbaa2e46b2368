"""`python -m local_host` as a process of its own: started, read and ended by a test."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_agent.shutdown import stop_agent
from shared.kernel.clock import SystemClock
from tests.kit.patience import PATIENCE_S


class Process:
    """A host that runs; `text` is what it has printed so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.text = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        assert self.process.stdout is not None
        while (found := re.search(pattern, self.text)) is None:
            line = self.process.stdout.readline()
            assert line, f"it ended without {pattern!r}:\n{self.text}"
            self.text += line
        return found

    def end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.text += self.process.stdout.read()
        return code


@contextmanager
def started(*arguments: str | Path, state: Path, **environ: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "local_host", "--state", str(state), *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **environ},
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        asyncio.run(stop_agent(state, SystemClock()))
