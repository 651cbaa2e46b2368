"""A thread that is lost to a run is replaced, up to a bound, until the run has ended."""

import threading
from concurrent.futures import ThreadPoolExecutor

from local_host.invocation.overdue_runs import REPLACED_MAX, OverdueRuns

THREADS = 2


def test_a_pool_has_its_threads_again_when_all_overdue_runs_have_ended() -> None:
    ended = threading.Event()
    with ThreadPoolExecutor(THREADS) as pool:
        overdue = OverdueRuns(pool)
        runs = []
        for _ in range(REPLACED_MAX + 10):
            runs.append(pool.submit(ended.wait))
            overdue.add("stuck", runs[-1])

        ended.set()

    assert all(run.result() for run in runs)
    assert overdue.problems() == []
    assert pool._max_workers == THREADS
