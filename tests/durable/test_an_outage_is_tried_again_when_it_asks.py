"""The pauses of `call`: 2, 4, 8 and 16 s, longer where the dependency asks, two minutes at most."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from shared.durable.activity import ActivityContext
from shared.durable.operations import OperationInput
from shared.durable.orchestration import OrchestrationContext, call
from shared.kernel.errors import Unavailable
from shared.kernel.ids import TenantId
from tests.kit.virtual_time import EPOCH


async def touch(ctx: ActivityContext, app: object) -> None:
    """Stands for any activity: what it answers is given by the test."""


class Durable:
    """A Durable context that stands still: timers are the spans for which they were set."""

    instance_id = "op-1"
    current_utc_datetime = EPOCH

    def get_input(self) -> Any:
        return OperationInput(TenantId("acme"), "thing-1").start("", "").input

    def call_activity(self, name: str, input_: Any = None) -> Any:
        return name

    def create_timer(self, fire_at: Any) -> timedelta:
        return fire_at - EPOCH  # type: ignore[no-any-return]

    def wait_for_external_event(self, name: str) -> Any:
        return name

    def task_any(self, tasks: list[Any]) -> Any:
        return tasks

    def task_all(self, tasks: list[Any]) -> Any:
        return tasks


def _pauses(answer: dict[str, Any]) -> list[float]:
    """Return the pauses in seconds while every attempt is answered by *answer*."""
    steps: Generator[Any, Any, None] = call(OrchestrationContext(Durable()), touch)
    pauses, task = [], next(steps)
    try:
        while True:
            if isinstance(task, timedelta):
                pauses.append(task.total_seconds())
                task = steps.send(None)
            else:
                task = steps.send([answer])
    except Unavailable:
        return pauses


@pytest.mark.parametrize(
    ("asked_s", "pauses"),
    [(1.0, [2, 4, 8, 16]), (10.0, [10, 10, 10, 16]), (900.0, [120, 120, 120, 120])],
    ids=["sooner", "later", "much-later"],
)
def test_a_pause_is_as_long_as_the_dependency_asks(asked_s: float, pauses: list[float]) -> None:
    assert _pauses({"unavailable": {"message": "away", "retryAfterS": asked_s}}) == pauses


def test_an_answer_of_an_earlier_version_asks_for_nothing() -> None:
    assert _pauses({"unavailable": {"message": "away"}}) == [2, 4, 8, 16]
