"""The local cluster's process of a state folder: start, find, stop. It outlives its command."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import find_holder, log_size, log_tail, pause
from cli.state_folder import REPOSITORY, StateFolder
from local_agent import process_trees
from local_agent.process_identity import ProcessIdentity
from local_cluster.cluster_folder import ClusterFolder, ClusterRecord, Form
from local_cluster.leftovers import remove_leftovers
from shared.kernel.clock import Clock
from shared.persistence.disk_errors import reason_of
from shared.persistence.plain_files import append_to

READY_WITHIN_S: Final = 180.0
"""It takes 4 s with KWOK, 8 s with real nodes; a starved machine needs longer."""
STOPPED_WITHIN_S: Final = 30.0
_POLL_INTERVAL_S: Final = 0.05


def cluster_folder(folder: StateFolder) -> ClusterFolder:
    return ClusterFolder(folder.cluster)


def find_cluster(folder: StateFolder) -> ProcessIdentity | None:
    """Return the process of the cluster of *folder*, None where none runs."""
    return find_holder(cluster_folder(folder).lock)


def record_of(folder: StateFolder) -> ClusterRecord | None:
    """Return what the cluster of *folder* has written; None before it is ready."""
    return cluster_folder(folder).record()


def start_cluster(folder: StateFolder, form: Form | None, nodes: int, clock: Clock) -> int:
    """Start a cluster in a session of its own; return its process id when it is ready.

    Raises:
        Failure: it did not start; the message has its last output.
    """
    cluster = cluster_folder(folder)
    logged = log_size(cluster.log)
    try:
        cluster.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        cluster.record_file.unlink(missing_ok=True)
        log = append_to(cluster.log)
    except OSError as problem:
        raise Failure(
            f"{cluster.path} cannot be written: {reason_of(problem)}", ExitCode.UNAVAILABLE
        ) from problem
    command = [
        sys.executable, "-m", "local_cluster",
        "--state", str(cluster.path), "--cache", str(folder.cache), "--nodes", str(nodes),
        *(() if form is None else ("--form", form)),
    ]  # fmt: skip
    try:
        process = subprocess.Popen(  # noqa: S603  our own program
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    finally:
        os.close(log)
    deadline_s = clock.monotonic_s() + READY_WITHIN_S
    while record_of(folder) is None:
        if process.poll() is not None or clock.monotonic_s() > deadline_s:
            process.terminate()
            output = "\n".join(f"  | {line}" for line in log_tail(cluster.log, logged))
            raise Failure(
                f"the local cluster did not start\n{output}",
                ExitCode.UNAVAILABLE,
                remedy="correct what it names; `runtimectl cluster up`",
            )
        pause(clock, _POLL_INTERVAL_S)
    return process.pid


def stop_cluster(folder: StateFolder, clock: Clock) -> int | None:
    """End the cluster and remove what it has on this machine; return its pid, None without one.

    Of one that was killed the rest is removed.

    Raises:
        Failure: something could not be removed.
    """
    identity = find_cluster(folder)
    if identity is not None:
        process_trees.terminate(identity)
        deadline_s = clock.monotonic_s() + STOPPED_WITHIN_S
        while find_cluster(folder) == identity and clock.monotonic_s() < deadline_s:
            pause(clock, _POLL_INTERVAL_S)
        if find_cluster(folder) == identity:
            with suppress(ProcessLookupError):
                os.kill(identity.pid, signal.SIGKILL)
    left = asyncio.run(remove_leftovers(cluster_folder(folder), clock))
    if left:
        raise Failure(f"left on this machine: {', '.join(left)}", ExitCode.UNAVAILABLE)
    return None if identity is None else identity.pid
