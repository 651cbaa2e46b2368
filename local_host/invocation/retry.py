"""Retry policies: the host runs a failed invocation again, counting in memory.

Azure applies them to timer, Cosmos DB, Event Hubs and Kafka triggers, not to Service Bus or HTTP.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages
"""

from dataclasses import replace

from local_host.invocation.own_task import invoke_in_own_task
from local_host.model import (
    Invocation,
    InvocationFailed,
    InvocationResult,
    Invoker,
    RetryPolicy,
    RetryState,
)
from shared.kernel.clock import Clock


def delay_s(policy: RetryPolicy, retry: int) -> float:
    """Return the seconds before retry number *retry*, the first being 1.

    Exponential back-off doubles from the minimum and stops growing at the maximum.
    """
    if policy.strategy == "fixed_delay":
        return policy.delay.total_seconds()
    grown = policy.delay.total_seconds() * 2.0 ** min(retry - 1, 62)
    return min(grown, policy.maximum_delay.total_seconds())


async def invoke_with_retry(
    invocation: Invocation, *, invoker: Invoker, clock: Clock
) -> InvocationResult:
    """Invoke, and again under the function's own policy until it succeeds or is used up.

    Raises:
        InvocationFailed: of the last attempt.
    """
    policy = invocation.function.retry
    if policy is not None:
        invocation = replace(invocation, retry=RetryState(0, policy.max_retry_count))
    retry = 0
    while True:
        try:
            return await invoke_in_own_task(invoker, invocation)
        except InvocationFailed as problem:
            if policy is None or 0 <= policy.max_retry_count <= retry:
                raise
            retry += 1
            invocation = replace(
                invocation, retry=RetryState(retry, policy.max_retry_count, problem.text)
            )
            await clock.sleep(delay_s(policy, retry))
