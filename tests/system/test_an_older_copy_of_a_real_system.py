"""The stores of a whole system are put back as they were two releases ago, while processes run."""

import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.real_system import real_system
from tests.system.test_data_outlives_what_runs import environment, release

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=1)]
SWEEPS_S = 45.0
"""Inventory and probes every 5 s, recovery every 30 s."""


def copied(state: Path, to: Path) -> Mapping[Path, Path]:
    """Copy every store by SQLite's backup API; return the copies by what they are of."""
    copies = {}
    for number, store in enumerate(sorted((state / "databases").glob("*/*.db"))):
        copies[store] = to / f"{number}.db"
        with (
            closing(sqlite3.connect(store)) as live,
            closing(sqlite3.connect(copies[store])) as copy,
        ):
            live.backup(copy)
    return copies


def put_back(copies: Mapping[Path, Path]) -> None:
    for store, kept in copies.items():
        with closing(sqlite3.connect(kept)) as copy, closing(sqlite3.connect(store)) as live:
            copy.backup(live)


def test_processes_run_on_until_somebody_deploys_again(tmp_path: Path) -> None:
    with real_system(tmp_path / "state") as system, closing(system.client()) as client:
        where = environment(system, client, "shop", "uploads")["environmentId"]
        release(system, client, where, "1")
        copies = copied(system.state, tmp_path)
        for version in ("2", "3"):
            release(system, client, where, version)
        before = system.kill()
        put_back(copies)
        system.start()
        system.until_ready()
        threading.Event().wait(SWEEPS_S)
        after = system.workloads()
        listed = client.get("/v1/runtime/deployments").body["value"]
        refused = release(system, client, where, "4")
        after_refusal = system.workloads()
        accepted = release(system, client, where, "4")

        assert [each["releaseRef"] for each in listed] == ["uploads-1"]
        assert before
        assert before == after == after_refusal
        assert (refused["status"], refused["reason"]["code"]) == ("Failed", "UnknownRelease")
        assert accepted["status"] == "Completed"
