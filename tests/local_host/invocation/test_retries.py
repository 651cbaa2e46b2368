"""Retry policies of timers (protocol page, section 3): counted in memory, told by retry_context."""

import asyncio
from typing import Any

import azure.functions as func
import pytest

from local_host.apps.indexing import index
from tests.kit.hosting import embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual


def failing(log: list[tuple[float, int, int]], **policy: str) -> func.FunctionApp:
    app = new_app()

    @app.timer_trigger(arg_name="t", schedule="0 0 0 * * *", run_on_startup=True)
    @app.retry(**policy)
    async def f(t: func.TimerRequest, context: func.Context) -> None:
        retry = context.retry_context
        log.append((asyncio.get_running_loop().time(), retry.retry_count, retry.max_retry_count))
        raise ValueError("no")

    return app


def attempts(
    host_json: dict[str, Any] | None = None, **policy: str
) -> list[tuple[float, int, int]]:
    log: list[tuple[float, int, int]] = []
    app = failing(log, **policy)

    async def main() -> None:
        async with hosting(embedded(app, host_json=host_json or {"version": "2.0"})):
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=3600)

    run_virtual(main())
    return log


def test_a_fixed_delay_lies_between_the_attempts() -> None:
    assert attempts(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:05") == [
        (0.0, 0, 2),
        (5.0, 1, 2),
        (10.0, 2, 2),
    ]


def test_an_exponential_delay_doubles_up_to_its_maximum() -> None:
    log = attempts(
        strategy="exponential_backoff",
        max_retry_count="4",
        minimum_interval="00:00:01",
        maximum_interval="00:00:03",
    )

    assert [at for at, _, _ in log] == [0.0, 1.0, 3.0, 6.0, 9.0]


def test_minus_one_retries_for_ever() -> None:
    log = attempts(strategy="fixed_delay", max_retry_count="-1", delay_interval="00:01:00")

    assert len(log) == 61


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"strategy": "sometimes", "max_retry_count": "1"}, "retry strategy is 'sometimes'"),
        (
            {"strategy": "fixed_delay", "max_retry_count": "1", "delay_interval": "soon"},
            "its retry policy: expected a time span",
        ),
        (
            {"strategy": "fixed_delay", "max_retry_count": "x", "delay_interval": "00:00:01"},
            "its retry policy",
        ),
    ],
    ids=["strategy", "interval", "count"],
)
def test_a_policy_that_cannot_be_read_costs_its_function(policy: dict[str, str], said: str) -> None:
    found = index(embedded(failing([], **policy)), {})

    assert found.functions == []
    assert said in found.refusals[0].reason


def test_the_policy_of_host_json_holds_where_a_function_has_none() -> None:
    app = new_app()

    @app.timer_trigger(arg_name="t", schedule="0 0 0 * * *")
    async def f(t: func.TimerRequest) -> None: ...

    shared = {"strategy": "fixedDelay", "maxRetryCount": 3, "delayInterval": "00:00:07"}
    found = index(embedded(app, host_json={"version": "2.0", "retry": shared}), {})

    policy = found.functions[0].retry
    assert policy is not None
    assert (policy.strategy, policy.max_retry_count, policy.delay.total_seconds()) == (
        "fixed_delay",
        3,
        7.0,
    )
