"""Ctrl-C while something starts in the background ends it: nobody could find it yet."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.background_process import BackgroundProcess
from shared.kernel.clock import SystemClock
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real


def slow_start(folder: Path, module: str) -> BackgroundProcess:
    """Return a process that never gets ready, of *module* in *folder*."""
    return BackgroundProcess(
        name="slow start",
        module=module,
        folder=folder,
        log=folder / "log",
        ready_file=folder / "ready",
        started_by="runtimectl slow up",
        ready_within_s=PATIENCE_S,
        stopped_within_s=PATIENCE_S,
        ends_by=signal.SIGTERM,
    )


def test_a_process_that_is_not_ready_yet_ends_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "slow_start.py"
    module.write_text("import threading\nthreading.Event().wait()\n")
    started = slow_start(tmp_path, module.stem)
    running: list[psutil.Process] = []

    def is_ready() -> bool:
        running[:] = children_of_this_test(module.stem)
        if running:
            raise KeyboardInterrupt
        return False

    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        started.start([], is_ready, SystemClock())

    assert [process.is_running() for process in running] == [False]


def children_of_this_test(module: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # one of another test, which has just ended
            if f"-m {module}" in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_an_interruption_while_it_is_started_comes_once_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "slow_begin.py"
    module.write_text("import threading\nthreading.Event().wait()\n")
    popen, running = subprocess.Popen, list[psutil.Process]()

    def interrupted(*words: Any, **options: Any) -> "subprocess.Popen[bytes]":
        process = popen(*words, **options)
        running.append(psutil.Process(process.pid))
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        slow_start(tmp_path, module.stem).start([], lambda: False, SystemClock())

    assert [process.is_running() for process in running] == [False]
