"""The durable client of azure-functions-durable behind the `Orchestrations` port."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.errors import Unavailable

if TYPE_CHECKING:
    import azure.durable_functions as df

_ALIVE: Final = frozenset({"Pending", "Running", "ContinuedAsNew", "Suspended"})


class TaskHub:
    """The task hub, over the durable client of the latest invocation.

    The client is only addresses and a key, equal in every invocation, so keeping one is safe.
    """

    def __init__(self) -> None:
        self._client: df.DurableOrchestrationClient | None = None

    def attach(self, client: "df.DurableOrchestrationClient") -> None:
        """Use *client* from now on."""
        self._client = client

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        """Start *instance_id*; the extension refuses one that is running, which counts as started.

        Raises:
            Unavailable: the hub is away, or refused for another reason.
        """
        client = self._attached()
        try:
            await client.start_new(orchestration, instance_id, dict(argument))
        except Exception as problem:
            _require_hub_error(problem)
            if not await self._is_alive(instance_id):
                raise Unavailable(f"{instance_id} was not started: {problem}") from problem

    async def raise_event(self, instance_id: str, name: str) -> None:
        """Raise *name* to *instance_id*; one that is gone or ended needs none.

        Raises:
            Unavailable: the hub is away, or refused for another reason.
        """
        client = self._attached()
        try:
            await client.raise_event(instance_id, name, "raised")
        except Exception as problem:
            _require_hub_error(problem)
            if await self._is_alive(instance_id):
                raise Unavailable(f"{instance_id} was not given {name}: {problem}") from problem

    async def _is_alive(self, instance_id: str) -> bool:
        """Return whether the instance is known and has not ended. Raises Unavailable."""
        try:
            status = await self._attached().get_status(instance_id)
        except Exception as problem:
            _require_hub_error(problem)
            raise Unavailable(f"{instance_id} cannot be asked for: {problem}") from problem
        state = status.runtime_status
        return state is not None and state.value in _ALIVE

    def _attached(self) -> "df.DurableOrchestrationClient":
        if self._client is None:
            raise Unavailable("no durable client has been bound yet in this process")
        return self._client


def _require_hub_error(problem: Exception) -> None:
    """Raise *problem* again unless it says that the hub refused or is away.

    The client library raises a bare `Exception` for each status it does not expect, and lets the
    errors of its HTTP client through, and those of reading an answer that is no JSON, as hosts
    give that start; anything else is a defect of ours.
    """
    import aiohttp  # noqa: PLC0415  the library has brought it in by now

    if type(problem) is not Exception and not isinstance(
        problem, aiohttp.ClientError | OSError | json.JSONDecodeError
    ):
        raise problem
