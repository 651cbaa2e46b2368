"""The local cluster's process of a state folder: start, find, stop. It outlives its command."""

import asyncio
import signal
from typing import Final

from cli.background_process import BackgroundProcess
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import find_holder, log_size, pause
from cli.state_folder import StateFolder
from local_agent.process_identity import ProcessIdentity
from local_cluster.cluster_folder import ClusterFolder, ClusterRecord, Form
from local_cluster.leftovers import remove_leftovers
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable

READY_WITHIN_S: Final = 180.0
"""It takes 4 s with KWOK, 8 s with real nodes; a starved machine needs longer."""
STOPPED_WITHIN_S: Final = 30.0
GATEWAYS_WITHIN_S: Final = 60.0
"""The first pass over its Gateways comes about a second after the record; it may fail."""
_GATEWAYS_EVERY_S: Final = 0.1


def cluster_folder(folder: StateFolder) -> ClusterFolder:
    return ClusterFolder(folder.cluster)


def find_cluster(folder: StateFolder) -> ProcessIdentity | None:
    """Return the process of the cluster of *folder*, None where none runs."""
    return find_holder(cluster_folder(folder).lock)


def record_of(folder: StateFolder) -> ClusterRecord | None:
    """Return what the cluster of *folder* has written; None before it is ready.

    Raises:
        Failure: another version of the cluster wrote it.
    """
    try:
        return cluster_folder(folder).record()
    except Unavailable as other:
        remedy = "stop it: `runtimectl cluster down`, and start it with `runtimectl cluster up`"
        raise Failure(other.message, ExitCode.UNAVAILABLE, remedy=remedy) from other


def start_cluster(folder: StateFolder, form: Form | None, nodes: int, clock: Clock) -> int:
    """Start a cluster in a session of its own; return its process id when it is ready.

    Its Gateways are served by then, or could not be within GATEWAYS_WITHIN_S.

    Raises:
        Failure: it did not start, or has ended; the message has its last output.
    """
    options = ["--cache", str(folder.cache), "--nodes", str(nodes)]
    if form is not None:
        options += ["--form", form]
    logged = log_size(cluster_folder(folder).log)
    pid = _process(folder).start(options, lambda: record_of(folder) is not None, clock)
    wait_for_gateways(folder, clock, logged)
    return pid


def wait_for_gateways(folder: StateFolder, clock: Clock, logged: int) -> None:
    """Return when the Gateways are served; or without that, when it takes too long.

    Raises:
        Failure: the cluster has ended; the message has its output after *logged* bytes.
    """
    deadline_s = clock.monotonic_s() + GATEWAYS_WITHIN_S
    while (record := record_of(folder)) is not None and find_cluster(folder) is not None:
        is_served = cluster_folder(folder).gateways_served.exists()
        if record.gateway_class is None or is_served or clock.monotonic_s() > deadline_s:
            return
        pause(clock, _GATEWAYS_EVERY_S)
    raise _process(folder).failed_start(logged)


def stop_cluster(folder: StateFolder, clock: Clock) -> int | None:
    """End the cluster and remove what it has on this machine; return its pid, None without one.

    Of one that was killed the rest is removed.

    Raises:
        Failure: something could not be removed.
    """
    identity = _process(folder).end(lambda: find_cluster(folder), clock)
    left = asyncio.run(remove_leftovers(cluster_folder(folder), clock))
    if left:
        raise Failure(f"left on this machine: {', '.join(left)}", ExitCode.UNAVAILABLE)
    return None if identity is None else identity.pid


def _process(folder: StateFolder) -> BackgroundProcess:
    cluster = cluster_folder(folder)
    return BackgroundProcess(
        name="local cluster",
        module="local_cluster",
        folder=cluster.path,
        log=cluster.log,
        ready_file=cluster.record_file,
        started_by="runtimectl cluster up",
        ready_within_s=READY_WITHIN_S,
        stopped_within_s=STOPPED_WITHIN_S,
        ends_by=signal.SIGTERM,  # it removes what it has on this machine
    )
