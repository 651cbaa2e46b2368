"""Drives an orchestration without a Durable host: activities run inline, timers on the loop's time.

The same generator, encoding and error mapping as in the host; no history and no replay. For what
the host adds (replay, crash, redelivery) tests use `tests/kit/world.py`.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.durable.abandon import AbandonOperation, fail_operation_by
from shared.durable.activity import perform
from shared.durable.orchestration import (
    FAIL_OPERATION,
    Activity,
    Ending,
    OrchestrationContext,
    Orchestrator,
    durable_name,
    service_of,
    supervise,
)
from shared.kernel.clock import Clock


class RecordedStarts:
    """The `Orchestrations` port of a driven world: remembers starts, sets events on wake."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, Mapping[str, Any]]] = []
        self._events: dict[tuple[str, str], asyncio.Event] = {}

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        self.started.append((orchestration, instance_id, dict(argument)))

    async def raise_event(self, instance_id: str, name: str) -> None:
        self.event(instance_id, name).set()

    def event(self, instance_id: str, name: str) -> asyncio.Event:
        return self._events.setdefault((instance_id, name), asyncio.Event())


@dataclass(eq=False)
class _Task:
    run: Callable[[], Any]

    def cancel(self) -> None:
        """Nothing runs before it is yielded, so there is nothing to stop."""


@dataclass
class DrivenContext:
    """What `Story` needs of a Durable context. `asked` lists activities without their service."""

    instance_id: str
    argument: Mapping[str, Any]
    activities: Mapping[str, Activity[Any]]
    app: Any
    clock: Clock
    starts: RecordedStarts
    interfere: Callable[[str, int], None] = lambda _name, _count: None
    twice: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def current_utc_datetime(self) -> datetime:
        return self.clock.now()

    def get_input(self) -> Any:
        return self.argument

    def call_activity(self, name: str, input_: Any = None) -> _Task:
        async def run() -> Any:
            short = self.activities[name].__name__
            self.asked.append(short)
            request = json.loads(json.dumps(input_))
            self.interfere(short, len(self.asked))
            answer = await perform(self.activities[name], request, self.app)
            if self.twice:
                again = await perform(self.activities[name], request, self.app)
                assert again == answer, f"{short} answered differently when run twice"
            return json.loads(json.dumps(answer))

        return _Task(run)

    def create_timer(self, fire_at: datetime) -> _Task:
        async def run() -> None:
            await self.clock.sleep(max(0.0, (fire_at - self.clock.now()).total_seconds()))

        return _Task(run)

    def wait_for_external_event(self, name: str) -> _Task:
        return _Task(self.starts.event(self.instance_id, name).wait)

    def task_all(self, tasks: Sequence[_Task]) -> _Task:
        async def run() -> list[Any]:
            return [await task.run() for task in tasks]

        return _Task(run)

    def task_any(self, tasks: Sequence[_Task]) -> _Task:
        async def run() -> _Task:
            running = {asyncio.ensure_future(task.run()): task for task in tasks}
            done, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for future in rest:
                future.cancel()
            return next(task for future, task in running.items() if future in done)

        return _Task(run)


async def drive(orchestrator: Orchestrator, context: DrivenContext) -> Any:
    """Run *orchestrator* to its end and return its outcome, or the code it ended early with."""
    generator = supervise(orchestrator, OrchestrationContext(context))
    answer: Any = None
    while True:
        try:
            task = generator.send(answer)
        except StopIteration as end:
            ending: Ending = end.value
            return ending.code or ending.outcome
        answer = await task.run()


def by_name(
    activities: Sequence[Activity[Any]], abandon: Mapping[str, AbandonOperation] | None = None
) -> Mapping[str, Activity[Any]]:
    """Return *activities* by Durable name, with that which ends an operation as *abandon* says."""
    fail = f"{service_of(activities[0])}_{FAIL_OPERATION}"
    named = {durable_name(activity): activity for activity in activities}
    return {**named, fail: fail_operation_by(abandon or {})}
