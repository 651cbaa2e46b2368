"""Ctrl-C while something starts in the background ends it: nobody could find it yet."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli import host_start
from cli.background_process import BackgroundProcess
from cli.client import Client
from cli.exit_codes import ExitCode
from cli.host_process import find_process
from cli.main import main
from cli.state_folder import StateFolder
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


def test_a_host_that_starts_ends_with_the_command_which_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[psutil.Process] = []

    def interrupted(_client: Client) -> bool:
        begun[:] = [
            child for child in psutil.Process().children() if os.fspath(tmp_path) in said(child)
        ]
        if begun:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(host_start, "_has_services", interrupted)

    code = main(["up", "--port", "0", "--state", os.fspath(tmp_path)])

    assert code == ExitCode.INTERRUPTED
    assert "the host that was starting was ended" in capsys.readouterr().err
    assert begun != []
    assert [process.is_running() for process in begun] == [False]
    assert find_process(StateFolder(tmp_path)) is None


def said(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
