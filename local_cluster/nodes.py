"""The nodes of a cluster from outside: each is one process, and is gone when that is killed."""

import asyncio
import logging
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_cluster import control_groups
from local_cluster.cluster_folder import ClusterFolder
from local_cluster.network import ClusterNetwork, connect, ip
from local_cluster.node_plan import NodePlan, files, programs
from local_cluster.programs import RESTARTED_AFTER_S, Program, started
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.persistence.plain_files import write_private

STOPPED: Final = "stopped"
"""A file of this name in the folder of a node switches it off, as a power failure would."""
_NAMESPACES: Final = ("--mount", "--net", "--pid", "--uts", "--ipc")
_LOOKED_EVERY_S: Final = 0.05
_WITHIN_S: Final = 10.0
_REPOSITORY: Final = Path(__file__).resolve().parent.parent
_log = logging.getLogger(__name__)


class Node:
    """One node, which is kept running until `stop`, except while it is switched off."""

    def __init__(
        self, number: int, plan: NodePlan, network: ClusterNetwork, folder: ClusterFolder,
        clock: Clock,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.program = Program(plan.name, _command(plan), folder.logs / f"{plan.name}.log")
        self.init: int | None = None
        """The first process of its namespaces while it runs, as this machine numbers it."""
        self._number = number
        self._network = network
        self._owner = folder.path
        self._clock = clock
        self._running = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    async def _keep_running(self) -> None:
        await asyncio.to_thread(_write_files, self.plan)
        while True:
            if not self._is_off():
                try:
                    await self._run_once()
                except Unavailable as failed:
                    _log.warning("%s does not start: %s", self.plan.name, failed)
                await control_groups.remove(self.plan.group, self._clock)
            await self._clock.sleep(RESTARTED_AFTER_S)

    async def _run_once(self) -> None:
        async with started(self.program, self._owner) as process:
            init = await self._init_of(process)
            link = self._network.link(self._number)
            # The kernel may still be taking down the cable of the last one.
            await asyncio.to_thread(ip, "link", "delete", link, must=False)
            await asyncio.to_thread(connect, self._network, self._number, init)
            self.init = init
            try:
                while process.returncode is None and not self._is_off():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(asyncio.shield(process.wait()), _LOOKED_EVERY_S)
            finally:
                self.init = None
        if not self._is_off():
            _log.warning("%s ended (%s)", self.plan.name, process.returncode)

    async def _init_of(self, process: asyncio.subprocess.Process) -> int:
        """Return the first process of the node's namespaces, as this machine numbers it."""
        deadline_s = self._clock.monotonic_s() + _WITHIN_S
        while self._clock.monotonic_s() < deadline_s and process.returncode is None:
            if (init := await asyncio.to_thread(_child_with_own_network, process.pid)) is not None:
                return init
            await self._clock.sleep(_LOOKED_EVERY_S)
        raise Unavailable(f"{self.plan.name} has no namespaces of its own")

    def _is_off(self) -> bool:
        return (Path(self.plan.folder) / STOPPED).exists()


def _child_with_own_network(pid: int) -> int | None:
    own = Path("/proc/self/ns/net").readlink()
    with suppress(OSError):  # one that has ended has no files there
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if Path(f"/proc/{child}/ns/net").readlink() != own:
                return int(child)
    return None


def _write_files(plan: NodePlan) -> None:
    for name, content in files(plan).items():
        write_private(Path(plan.folder) / name, content, is_durable=False)
    for name in programs(plan):
        (Path(plan.folder) / name).chmod(0o700)


def _command(plan: NodePlan) -> Sequence[str]:
    unshare = shutil.which("unshare") or "unshare"
    return (
        unshare, *_NAMESPACES, "--fork", "--kill-child", "--mount-proc",
        # Its own working directory may be anywhere.
        shutil.which("env") or "env", f"PYTHONPATH={_REPOSITORY}",
        sys.executable, "-m", "local_cluster.node", f"{plan.folder}/node.json",
    )  # fmt: skip
