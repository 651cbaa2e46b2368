"""What a world is about that does not come to rest, so that a failure explains itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from shared.durable.operations import OPERATIONS
from shared.kernel.operation import TERMINAL
from shared.messaging.outbox import OUTBOX_TYPE

if TYPE_CHECKING:
    from tests.deployments.driven import Driven

Surroundings = Callable[[], Awaitable[str]]
"""Says what is around a world, such as the objects of its cluster."""
_ASKED_MAX: Final = 8


async def nothing_around() -> str:
    """Of a world in memory, all is in the world."""
    return ""


async def standstill(world: "Driven") -> str:
    """Return what runs and where it waits, what is stored and has not ended, and what is around."""
    operations = [each.body for each in await world.rows(OPERATIONS.type_name)]
    running = world.running
    lines = [
        f"it is {world.app.service.clock.now()}, and this has not come to rest:",
        *(f"queue: {each}" for each in (await world.target()).queue),
        *(f"operation: {_shown(each)}" for each in operations if each["status"] not in TERMINAL),
        *(f"outbox: {json.dumps(each.body)}" for each in await world.rows(OUTBOX_TYPE)),
        *(f"not begun: {name} {instance}" for name, instance, _ in world.bench.starts.started),
        *(f"{each.instance_id} did {each.asked[-_ASKED_MAX:]}" for each in world.contexts),
    ]
    for instance, task in running.items():
        lines += [f"{instance} is at:", *frames_of(task)]
    return "\n".join([*lines, await world.surroundings()])


def _shown(operation: Mapping[str, Any]) -> str:
    """Return an operation without what it was given and what it has recorded."""
    names = ("operation_id", "kind", "status", "outage", "wait_name", "heartbeat_at", "dueAt")
    return json.dumps({**{name: operation.get(name) for name in names}, "at": operation["steps"]})


def frames_of(task: "asyncio.Task[Any]") -> Iterator[str]:
    """Yield where *task* waits, outermost first: `Task.print_stack` has the first frame only."""
    waits: Any = task.get_coro()
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None)
        if frame is not None:
            yield f"    {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        waits = getattr(waits, "cr_await", None) or getattr(waits, "ag_await", None)
