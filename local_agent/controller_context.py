"""The dependencies that all controllers of one supervisor share."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from local_agent.api_access import ApiAccess
from local_agent.artifacts import Artifacts
from local_agent.scratch import ScratchMeter
from local_agent.secret_values import SecretSource
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

_LOG: Final = logging.getLogger(__name__)


@dataclass
class ControllerContext:
    """`on_change` requests the next pass at once; `ports` are those in use, by their owner."""

    clock: Clock
    entropy: Entropy
    artifacts: Artifacts
    python_links: Path
    session: aiohttp.ClientSession
    tasks: asyncio.TaskGroup
    on_change: Callable[[], None]
    scratch: ScratchMeter
    secrets: SecretSource
    api: ApiAccess
    ports: dict[str, set[int]] = field(default_factory=dict)

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run *work* as a task that ends with the supervisor; its defect stops nothing else.

        Its coroutine is made by the task: a task may be canceled before it begins.
        """
        guarded = _guard(work)
        try:
            self.tasks.create_task(guarded)
        except RuntimeError:
            guarded.close()  # the supervisor is ending, and nothing waits for the result

    def free_port(self) -> int:
        return free_port(self.entropy, set().union(*self.ports.values()))


async def _guard(work: Callable[[], Coroutine[None, None, None]]) -> None:
    try:
        await work()
    except Exception:  # noqa: BLE001  what is wrong with one instance is its own
        _LOG.exception("a probe failed by a defect")
