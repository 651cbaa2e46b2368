"""Invokes a function in a task of its own, for triggers whose task goes on afterwards.

A function may cancel the task that it runs in; so it ends its invocation, not its trigger.
"""

import asyncio

from local_host.model import Invocation, InvocationFailed, InvocationResult, Invoker


async def invoke_in_own_task(invoker: Invoker, invocation: Invocation) -> InvocationResult:
    """Invoke; a cancel of the caller cancels the function.

    Raises:
        InvocationFailed: also when the function has canceled itself.
    """
    caller = asyncio.current_task()
    try:
        return await asyncio.get_running_loop().create_task(_invoke(invoker, invocation))
    except asyncio.CancelledError as problem:
        if caller is None or caller.cancelling():
            raise
        name = invocation.function.name
        raise InvocationFailed(name, "CancelledError: it has canceled itself", problem) from problem


async def _invoke(invoker: Invoker, invocation: Invocation) -> InvocationResult:
    return await invoker.invoke(invocation)
