"""A cluster of the form `rootless`, from outside of its user namespace: a process and two ports."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.image_registry import kept_port
from local_cluster.leftovers import remove_leftovers
from local_cluster.programs import Program, started, tail
from local_cluster.user_namespace import command_inside, open_port
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

_LOOKED_EVERY_S: Final = 0.05
_log = logging.getLogger(__name__)


class ClusterInside:
    """The cluster in *folder*, which `python -m local_cluster` runs in a user namespace."""

    def __init__(
        self, folder: ClusterFolder, cache: Path, nodes: int, clock: Clock, entropy: Entropy
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._nodes = nodes
        self._clock = clock
        self._entropy = entropy
        self._log = folder.logs / "user-namespace.log"
        self._running: asyncio.Task[None] | None = None

    @property
    def logs(self) -> Sequence[Path]:
        return [self._log]

    async def start(self) -> None:
        """Start it; return when it is ready. Raises Unavailable with its last output."""
        await remove_leftovers(self._folder, self._clock)
        await asyncio.to_thread(self._folder.logs.mkdir, mode=0o700, parents=True, exist_ok=True)
        self._running = asyncio.create_task(self._run())
        while self._folder.record() is None:
            if self._running.done():
                raise Unavailable(f"it does not start in a user namespace:\n{tail(self._log)}")
            await self._clock.sleep(_LOOKED_EVERY_S)

    async def stop(self) -> tuple[str, ...]:
        """End it, with everything in it; return what is left on this machine, in words."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        return await remove_leftovers(self._folder, self._clock)

    async def _run(self) -> None:
        registry = kept_port(self._folder, self._entropy, set())
        api = free_port(self._entropy, {registry})
        ports = [api, registry, free_port(self._entropy, {registry, api})]  # the last: counters
        opened = [open_port(port) for port in ports]
        descriptors = tuple(each.fileno() for each in opened)
        inside = (
            sys.executable, "-m", "local_cluster", "--state", str(self._folder.path),
            "--cache", str(self._cache), "--nodes", str(self._nodes),
            "--inside", *map(str, descriptors),
        )  # fmt: skip
        program = Program("inside", command_inside(inside), self._log, sockets=descriptors)
        try:
            async with started(program, self._folder.path) as process:
                code = await process.wait()
            _log.error("the user namespace of the cluster ended (%s)", code)
        finally:
            for each in opened:
                each.close()
