"""A cluster as a process of its own: what `runtimectl cluster up` starts.

    python -m local_cluster --state .factory/cluster --cache .factory/cache

It is ready when `cluster.json` is in its state folder, beside the administrator's `kubeconfig`.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

from local_cluster.binaries import find_binaries, require_kubebox
from local_cluster.cluster import Cluster, ClusterSettings
from local_cluster.cluster_folder import ClusterFolder, Form
from local_cluster.cluster_inside import ClusterInside
from local_cluster.forms import choice_inside, choose
from local_cluster.network import NODES_MAX
from local_cluster.user_namespace import published, start_loopback
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.persistence.bounded_logs import keep_bounded
from shared.persistence.disk_errors import reason_of
from shared.persistence.held_paths import first_removed
from shared.persistence.lock_files import read_owner, take_lock, write_owner

EXIT_FAILED: Final = 1
EXIT_STATE_IN_USE: Final = 4
_PARENT_LOOKED_AT_EVERY_S: Final = 0.5
_log = logging.getLogger(__name__)


def main() -> int:
    asked = _parser().parse_args()
    os.umask(0o077)  # keys are their owner's
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    folder = ClusterFolder(asked.state.resolve())
    try:
        folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if asked.inside:
            return asyncio.run(_serve_inside(folder, asked))
        lock = take_lock(folder.lock)
        if lock is None:
            owner = read_owner(folder.lock) or "unknown"
            print(f"{folder.path} is in use by the cluster with process id {owner}")  # noqa: T201
            return EXIT_STATE_IN_USE
        write_owner(lock, os.getpid())
        return asyncio.run(_serve_one(folder, asked))
    except Unavailable as problem:
        print(problem)  # noqa: T201
    except OSError as problem:
        print(f"{folder.path} cannot be used: {reason_of(problem)}")  # noqa: T201
    return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_cluster", description="Run a cluster.")
    parser.add_argument("--state", type=Path, default=Path(".factory/cluster"), help="its folder")
    parser.add_argument(
        "--cache", type=Path, default=Path(".factory/cache"), help="where its programs are"
    )
    parser.add_argument(
        "--form",
        type=Form,
        choices=list(Form),
        help="how real it is; the most real one that this machine can have, without it",
    )
    parser.add_argument(
        "--nodes", type=int, default=2, choices=range(1, NODES_MAX + 1), metavar="COUNT",
        help=f"how many nodes it has, 1 to {NODES_MAX}",
    )  # fmt: skip
    parser.add_argument(
        "--end-with", type=int, metavar="PID", help="end when that process has ended"
    )
    parser.add_argument(
        "--inside", type=int, nargs="+", default=(), metavar="DESCRIPTOR",
        help="of the form rootless: it is in its user namespace, with these open sockets",
    )  # fmt: skip
    return parser


async def _serve_one(folder: ClusterFolder, asked: argparse.Namespace) -> int:
    clock, entropy, cache = SystemClock(), SystemEntropy(), asked.cache.resolve()
    binaries = await asyncio.to_thread(find_binaries, cache)
    await asyncio.to_thread(require_kubebox, binaries.kubebox)
    choice = await asyncio.to_thread(choose, binaries, folder.path, asked.form)
    if choice.form is Form.ROOTLESS:
        inside = ClusterInside(folder, cache, asked.nodes, clock, entropy)
        return await _serve(folder, inside, asked.end_with, clock)
    cluster = Cluster(folder, ClusterSettings(binaries, choice, asked.nodes), clock, entropy)
    return await _serve(folder, cluster, asked.end_with, clock)


async def _serve_inside(folder: ClusterFolder, asked: argparse.Namespace) -> int:
    """Run the cluster as root of its user namespace, and its API server and registry outside."""
    clock = SystemClock()
    await asyncio.to_thread(start_loopback)
    binaries = await asyncio.to_thread(find_binaries, asked.cache)
    async with published(asked.inside) as ports:
        settings = ClusterSettings(binaries, choice_inside(binaries), asked.nodes, ports)
        cluster = Cluster(folder, settings, clock, SystemEntropy())
        return await _serve(folder, cluster, asked.end_with, clock)


async def _serve(
    folder: ClusterFolder, cluster: Cluster | ClusterInside, ends_with: int | None, clock: Clock
) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    waiting = [
        asyncio.ensure_future(stopping.wait()),
        asyncio.ensure_future(first_removed([folder.path, folder.lock], clock)),
        asyncio.ensure_future(_ended(ends_with, clock)),
    ]
    bounding = asyncio.ensure_future(keep_bounded(lambda: [folder.log, *cluster.logs], clock))
    starting = asyncio.ensure_future(cluster.start())
    try:
        await asyncio.wait([starting, *waiting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _log.info("the cluster is ready; its administrator's kubeconfig: %s", folder.kubeconfig)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (starting, bounding, *waiting):
            task.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        left = await cluster.stop()
    if left:
        _log.error("left on this machine: %s", ", ".join(left))
    return EXIT_FAILED if left else 0


async def _ended(pid: int | None, clock: Clock) -> None:
    """Return when the process *pid* has ended; never without one."""
    while pid is None or _is_alive(pid):
        await clock.sleep(_PARENT_LOOKED_AT_EVERY_S)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


if __name__ == "__main__":
    sys.exit(main())
