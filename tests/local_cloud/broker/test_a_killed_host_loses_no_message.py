import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
LIVES = 4


def start(folder: Path, life: int, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kit.queue_worker", str(folder), str(life), str(count)],
        cwd=ROOT,
    )


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while len(lines(path)) < count:
        assert process.poll() is None, "the worker ended by itself"
        assert time.monotonic() < give_up_at_s, f"{path.name}: {len(lines(path))} of {count} lines"
        time.sleep(0.005)  # noqa: TID251  another process's progress, in real time


@pytest.mark.long
@pytest.mark.real
def test_a_host_killed_while_sending_and_consuming_loses_no_acknowledged_message(
    tmp_path: Path,
) -> None:
    acknowledged, handled = tmp_path / "acknowledged", tmp_path / "handled"
    for life in range(LIVES):
        worker = start(tmp_path, life, 1_000_000)
        try:
            wait_for_lines(handled, len(lines(handled)) + 150, worker)
        finally:
            worker.kill()
            worker.wait()

    assert start(tmp_path, LIVES, 0).wait(timeout=PATIENCE_S) == 0

    times = Counter(lines(handled))
    assert len(lines(acknowledged)) >= LIVES * 100
    assert set(lines(acknowledged)) <= set(times)
    # Only what was locked when a host died, or handled and not yet settled, came twice.
    assert sum(times.values()) - len(times) <= LIVES * 16
