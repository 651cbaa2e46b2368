"""No acknowledged command is lost when the process is killed, and none is there by half."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_cloud.sqlite.database import Database
from local_cloud.sqlite.store import SqliteStore
from local_cloud.sqlite.write_ahead_log import LENGTHEN_AFTER
from shared.persistence.store import Comparison, Partition, Query, Where, pages
from tests.kit.store_writer import WRITERS
from tests.kit.stores import HandClock

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.real
OUTBOX = Query(where=[Where("id", Comparison.STARTS_WITH, "outbox/")])


def killed(path: Path, acknowledged: int) -> dict[int, int]:
    """Kill a writer of *path* after so many commands; return the last one of each it answered."""
    command = [sys.executable, "-m", "tests.kit.store_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        lines += process.stdout.readlines()
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {int(writer): int(n) for writer, n in whole}


@pytest.mark.parametrize(
    "acknowledged",
    [
        pytest.param(1, id="at-the-first-commands"),
        pytest.param(LENGTHEN_AFTER + WRITERS, id="while-the-log-is-made-long"),
        pytest.param(700, id="between-checkpoints"),
    ],
)
async def test_a_killed_writer_leaves_whole_commands_and_all_that_it_acknowledged(
    tmp_path: Path, acknowledged: int
) -> None:
    path = tmp_path / "d.db"

    last = killed(path, acknowledged)

    database = Database(path)
    store = SqliteStore(database, "things", HandClock())
    for writer in range(WRITERS):
        here = Partition(f"tenant-{writer}", "k1")
        aggregate = await store.read(here, "aggregate")
        n = -1 if aggregate is None else aggregate.body["n"]
        rows = [document.body["n"] async for document in pages(store, here, OUTBOX)]

        assert n >= last.get(writer, -1)
        assert sorted(rows) == list(range(n + 1))
    database.close()
