"""Ctrl-C while something starts in the background ends it: nobody could find it yet."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from cli.background_process import BackgroundProcess
from shared.kernel.clock import SystemClock
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real


def test_a_process_that_is_not_ready_yet_ends_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "slow_start.py"
    module.write_text("import threading\nthreading.Event().wait()\n")
    started = BackgroundProcess(
        name="slow start",
        module="slow_start",
        folder=tmp_path,
        log=tmp_path / "log",
        ready_file=tmp_path / "ready",
        started_by="runtimectl slow up",
        ready_within_s=PATIENCE_S,
        stopped_within_s=PATIENCE_S,
        ends_by=signal.SIGTERM,
    )
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
    return [
        child
        for child in psutil.Process().children()
        if f"-m {module}" in " ".join(child.cmdline())
    ]
