"""Runs one invocation as the Azure worker does: all that happens around the user's code.

Input bindings, `Out` parameters and `context` go in; the return rules are applied; outputs are
handed to their extensions. `async` functions run on the host's one event loop, plain ones in a
thread pool with the caller's context variables. Whatever is thrown on the way, by the function or
by what it returned, ends this invocation and nothing else.
"""

import asyncio
import contextvars
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, NoReturn

from local_host.apps.configuration import Configuration
from local_host.invocation.invocation_context import Context, Out, TraceContext
from local_host.invocation.overdue_runs import THREAD_NAME, OverdueRuns
from local_host.invocation.precedence import Precedence
from local_host.invocation.timeouts import Timeouts
from local_host.invocation.user_code import described
from local_host.model import (
    Binding,
    IndexedFunction,
    InputValue,
    Invocation,
    InvocationFailed,
    InvocationResult,
    OutputSink,
)
from shared.kernel.entropy import Entropy

_RETURN: Final = "$return"
_CALL: Final = "httpTrigger"
_DEFAULT_TIMEOUT: Final = timedelta(minutes=30)
_UNBOUNDED: Final = "-1"
current_invocation: contextvars.ContextVar[tuple[int, IndexedFunction] | None] = (
    contextvars.ContextVar("invocation", default=None)
)
"""The bits of the running invocation's id, which `invocation_id` writes, and its function."""


class FunctionTimedOut(Exception):
    """`functionTimeout` passed. In Azure the worker process is restarted as well."""


class ReturnRefused(Exception):
    """The function returned a value that no binding takes."""


class _Thrown(Exception):
    """Carries what a plain function threw; a StopIteration, say, cannot cross a thread itself."""

    def __init__(self, problem: BaseException) -> None:
        super().__init__()
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is the same for every invocation of a function."""

    function: IndexedFunction
    inputs: Sequence[tuple[Binding, InputValue]]
    out_names: Sequence[str]
    sinks: Sequence[tuple[Binding, OutputSink]]
    may_return: bool
    limit: "Timeouts[_Running] | None"
    timeout_s: float | None
    directory: str
    is_http: bool


class _Running:
    """One run under a limit."""

    __slots__ = ("has_expired", "task", "thread")

    def __init__(self, task: "asyncio.Task[Any] | None") -> None:
        assert task is not None, "functions run in tasks"
        self.task = task
        self.has_expired = False
        self.thread: Future[Any] | None = None
        """Of a plain function: its run in the pool."""

    def expire(self) -> None:
        self.has_expired = True
        self.task.cancel()


class Worker:
    """Runs functions. Implements `Invoker`."""

    def __init__(self, entropy: Entropy, *, threads: int | None = None) -> None:
        """*threads* None: as Azure decides; 0: plain functions run on the loop itself.

        0 is for a virtual clock, whose time would run ahead of a thread.
        """
        self._entropy = entropy
        self._plans: dict[IndexedFunction, _Plan] = {}
        self._precedence = Precedence()
        self._limits: dict[float, Timeouts[_Running]] = {}
        count = _threads() if threads is None else threads
        self._pool = ThreadPoolExecutor(count, THREAD_NAME) if count else None
        self._overdue = OverdueRuns(self._pool) if self._pool is not None else None

    def problems(self) -> Sequence[str]:
        """Return what keeps this worker from being whole, in sentences."""
        return () if self._overdue is None else self._overdue.problems()

    def prepare(
        self,
        function: IndexedFunction,
        settings: Configuration,
        directory: str,
        inputs: Mapping[str, InputValue],
        outputs: Mapping[str, OutputSink],
    ) -> None:
        """Decide all that is the same for every invocation of *function*.

        Raises:
            ValueError: a binding of a type that no extension serves.
        """
        timeout_s = _timeout_s(settings)
        self._plans[function] = _Plan(
            function,
            _inputs(function, inputs),
            [b.name for b in function.bindings if b.direction == "out" and b.name != _RETURN],
            _sinks(function, outputs),
            _may_return(function),
            None if timeout_s is None else self._limit(timeout_s),
            timeout_s,
            directory,
            function.triggered_by(_CALL),
        )

    def _limit(self, timeout_s: float) -> Timeouts[_Running]:
        if timeout_s not in self._limits:
            self._limits[timeout_s] = Timeouts(timeout_s, _Running.expire)
        return self._limits[timeout_s]

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        plan = self._plans[invocation.function]
        call = object() if plan.is_http else None
        if call:
            self._precedence.begin_call(call)
        else:
            await self._precedence.begin_run()
        bits = self._entropy.bits(128)
        before = current_invocation.set((bits, plan.function))
        try:
            return await self._invoke(plan, invocation, bits)
        except BaseException as problem:
            if _is_ending(problem):
                raise
            cause = problem.problem if isinstance(problem, _Thrown) else problem
            raise InvocationFailed(plan.function.name, described(cause), cause) from cause
        finally:
            current_invocation.reset(before)
            if call:
                self._precedence.end_call(call)
            else:
                self._precedence.end_run()

    async def _invoke(self, plan: _Plan, invocation: Invocation, bits: int) -> InvocationResult:
        given = invocation.arguments
        arguments = dict(given() if callable(given) else given)
        for binding, value in plan.inputs:
            arguments[binding.name] = await value(binding, plan.function)
        outs: dict[str, Out] = {}
        if plan.out_names:
            outs = {name: Out() for name in plan.out_names}
            arguments.update(outs)
        if plan.function.takes_context:
            arguments["context"] = self._context(plan, invocation, invocation_id(bits))
        returned = await self._run(plan, arguments)
        if returned is not None and not plan.may_return:
            _refuse(plan.function.name, returned)
        outputs = {name: out.get() for name, out in outs.items() if out.is_set} if outs else {}
        encode = invocation.encode
        encoded = returned if encode is None else encode(returned, outputs)
        for binding, sink in plan.sinks:
            written = returned if binding.name == _RETURN else outputs.get(binding.name)
            if written is not None:
                await sink(binding, plan.function, written)
        return InvocationResult(encoded, outputs)

    def _context(self, plan: _Plan, invocation: Invocation, own_id: str) -> Context:
        # The host starts a trace when its caller sent none.
        parent = invocation.traceparent or (
            f"00-{self._entropy.bits(128) | 1:032x}-{self._entropy.bits(64) | 1:016x}-01"
        )
        context = Context(
            own_id,
            plan.function.name,
            plan.directory,
            TraceContext(parent, invocation.tracestate),
            invocation.retry,
        )
        context.thread_local_storage.invocation_id = context.invocation_id
        return context

    async def _run(self, plan: _Plan, arguments: dict[str, Any]) -> Any:
        function = plan.function
        running = _Running(asyncio.current_task())
        if plan.limit is not None:
            plan.limit.enter(running, asyncio.get_running_loop())
        try:
            if function.is_async:
                return await function.handler(**arguments)
            return await self._run_plain(plan, arguments, running)
        finally:
            if plan.limit is not None:
                plan.limit.leave(running)
            if running.has_expired and running.thread is not None and not running.thread.done():
                assert self._overdue is not None
                self._overdue.add(function.name, running.thread)
            if running.has_expired and running.task.uncancel() == 0:
                raise FunctionTimedOut(
                    f"Timeout value of {timedelta(seconds=plan.timeout_s or 0)} was exceeded by"
                    f" function: Functions.{function.name}"
                )

    async def _run_plain(self, plan: _Plan, arguments: dict[str, Any], running: _Running) -> Any:
        if self._pool is None:
            returned, problem = self._outcome(plan, arguments)
        else:
            context = contextvars.copy_context()
            call = partial(context.run, self._outcome, plan, arguments)
            running.thread = self._pool.submit(call)
            returned, problem = await asyncio.wrap_future(running.thread)
        if problem is not None:
            raise _Thrown(problem)
        return returned

    @staticmethod
    def _outcome(plan: _Plan, arguments: dict[str, Any]) -> tuple[Any, BaseException | None]:
        """Return what the function returned, or what it threw."""
        own = arguments.get("context") if plan.function.takes_context else None
        if own is not None:
            own.thread_local_storage.invocation_id = own.invocation_id
        try:
            return plan.function.handler(**arguments), None
        except BaseException as problem:  # noqa: BLE001  the user's code is anything
            return None, problem

    def close(self) -> None:
        """Take no further plain function; those that run end with the process at the latest."""
        for limit in self._limits.values():
            limit.close()
        self._precedence.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _is_ending(problem: BaseException) -> bool:
    """Return whether the task of an invocation is being ended, rather than its function failing.

    A function that raises CancelledError, or awaits what was canceled, has failed.
    """
    if isinstance(problem, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return False


def invocation_id(bits: int) -> str:
    """Return a version 4 UUID of 128 random *bits*."""
    text = f"{bits:032x}"
    variant = "89ab"[bits >> 62 & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _refuse(function: str, returned: Any) -> NoReturn:
    raise ReturnRefused(
        f"function {function!r} without a $return binding returned a non-None value"
        f" ({type(returned).__name__}): return None, or declare an output"
    )


def _threads() -> int:
    asked = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    return int(asked) if asked.isdigit() and int(asked) else min(32, (os.cpu_count() or 1) + 4)


def _inputs(
    function: IndexedFunction, values: Mapping[str, InputValue]
) -> list[tuple[Binding, InputValue]]:
    inputs = []
    for binding in function.bindings:
        if binding.direction == "in" and binding is not function.trigger:
            value = values.get(binding.type.lower())
            if value is None:
                raise ValueError(_unserved("input", binding, values))
            inputs.append((binding, value))
    return inputs


def _sinks(
    function: IndexedFunction, outputs: Mapping[str, OutputSink]
) -> list[tuple[Binding, OutputSink]]:
    sinks = []
    for binding in function.bindings:
        if binding.direction == "out" and binding.type.lower() != "http":
            sink = outputs.get(binding.type.lower())
            if sink is None:
                raise ValueError(_unserved("output", binding, outputs))
            sinks.append((binding, sink))
    return sinks


def _unserved(kind: str, binding: Binding, served: Mapping[str, Any]) -> str:
    known = ", ".join(sorted(served)) or "none"
    return (
        f"its {kind} binding {binding.name!r} is of type {binding.type}, which this host does not"
        f" serve (it serves {known}): call the service's SDK in the function instead"
    )


def _may_return(function: IndexedFunction) -> bool:
    """Return whether the worker takes a non-None result.

    So it does with `$return`, with a trigger whose converter says so (Durable), and with any
    binding for which the library has no converter (the worker's "generic" binding).
    """
    from azure.functions import get_binding_registry  # noqa: PLC0415  with the app, not before

    registry = get_binding_registry()  # type: ignore[no-untyped-call]
    for binding in function.bindings:
        converter = registry.get(binding.type)
        if binding.name == _RETURN or converter is None:
            return True
        implicit = getattr(converter, "has_implicit_output", None)
        if implicit is not None and implicit():
            return True
    return False


def _timeout_s(settings: Configuration) -> float | None:
    if str(settings.host_value("functionTimeout")) == _UNBOUNDED:
        return None
    return settings.duration("functionTimeout", default=_DEFAULT_TIMEOUT).total_seconds()
