"""The infrastructure engine of a local cloud, for apps in other processes.

The cloud listens on `engine.sock` in its state folder, and writes its token to `engine.json`, which
only its own user reads. What it runs is the cloud's: a run goes on when the app that began it ends.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.port import (
    Preview,
    RefreshResult,
    RunId,
    RunStatus,
    StackName,
    StackPlan,
    StackView,
)
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Reading, Unknown
from shared.persistence.plain_files import read_plain
from shared.rpc.api import Api
from shared.rpc.client import SocketClient

RECORD: Final = "engine.json"
SOCKET: Final = "engine.sock"
WITHIN_S: Final = 60.0
"""A preview evaluates a program in a process of its own; a run only begins within a call."""


class RemoteEngine:
    """InfrastructureEngine of the local cloud with the state folder *folder*."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._record = folder / RECORD
        self._cloud = SocketClient(
            folder / SOCKET,
            _engine_api,
            self._token,
            _start_nothing,
            clock,
            subject="the engine of the local cloud",
            remedy="`runtimectl cloud status` says whether it runs, `cloud up` starts it",
        )

    def _token(self) -> str | None:
        try:
            return str(json.loads(read_plain(self._record))["token"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    async def preview(self, stack: StackName, inputs: EnvironmentInputs) -> Preview:
        preview: Preview = await self._call("preview", stack=stack, inputs=inputs)
        return preview

    async def start(self, run_id: RunId, plan: StackPlan, fence: Fence) -> None:
        await self._call("start", run_id=run_id, plan=plan, fence=fence)

    async def observe(self, run_id: RunId) -> RunStatus:
        try:
            status: RunStatus = await self._call("observe", run_id=run_id)
        except Unavailable as unavailable:
            return Unknown(unavailable.message)
        return status

    async def cancel(self, run_id: RunId, fence: Fence) -> None:
        await self._call("cancel", run_id=run_id, fence=fence)

    async def refresh(self, stack: StackName, fence: Fence) -> RefreshResult:
        result: RefreshResult = await self._call("refresh", stack=stack, fence=fence)
        return result

    async def read(self, stack: StackName) -> Reading[StackView]:
        try:
            view: Reading[StackView] = await self._call("read", stack=stack)
        except Unavailable as unavailable:
            return Unknown(unavailable.message)
        return view

    async def _call(self, method: str, **arguments: object) -> Any:
        given: Mapping[str, object] = arguments
        return await self._cloud.call(method, given, WITHIN_S)


def _engine_api() -> Api:
    from shared.infrastructure.engine_calls import ENGINE_API  # noqa: PLC0415  when used

    return ENGINE_API


def _start_nothing() -> None:
    """Do nothing: `cloud up` runs the engine."""
