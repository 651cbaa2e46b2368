"""Counts what a reader has to follow from a route's handler to the commit of its command.

    make trace                    → POST /v1/runtime/deployments

The whole system runs in memory, one release is deployed, and the interpreter reports each function
that is entered between the handler and the store's first batch. Counted are the named public
functions of the service and of `shared`: private ones and closures are read with the function that
they belong to, `kernel` and `contracts` are the vocabulary, and adapters stand behind ports.
"""

import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
OURS: Final = ("function_apps/", "shared/")
NOT_COUNTED: Final = tuple(
    f"shared/{name}/"
    for name in (
        "kernel", "contracts", "persistence", "surfaces", "infrastructure", "probing", "vault",
        "telemetry", "connections",
    )
)  # fmt: skip
LAYERS: Final = (
    "triggers", "orchestrations", "activities", "use_cases", "repository", "events", "resources",
    "ports", "projections", "model", "errors",
)  # fmt: skip
"""Of a service, the outermost first; all of `shared` lies further inside."""


@dataclass(frozen=True)
class Entry:
    """One function that was entered: its file below the root, and its qualified name."""

    file: str
    function: str

    @property
    def depth(self) -> int:
        """Return how far inside it lies, 0 for the triggers."""
        names = [Path(part).stem for part in Path(self.file).parts]
        return next((depth for depth, layer in enumerate(LAYERS) if layer in names), len(LAYERS))

    @property
    def is_counted(self) -> bool:
        """Return whether it is a function of its own, and no vocabulary or adapter."""
        is_part = any(part.startswith(("_", "<")) for part in self.function.split("."))
        return not is_part and not self.file.startswith(NOT_COUNTED)


@dataclass(frozen=True)
class Trace:
    """What was entered, in order; `outward` are calls from an inner layer to an outer one.

    Closures count for `outward`, because a callback is how an inner layer calls an outer one.
    """

    entries: Sequence[Entry]
    outward: Sequence[tuple[Entry, Entry]]

    @property
    def functions(self) -> Sequence[Entry]:
        return list(dict.fromkeys(self.entries))

    @property
    def files(self) -> Sequence[str]:
        return list(dict.fromkeys(entry.file for entry in self.entries))

    @property
    def returns(self) -> int:
        """Return how often the way leads to a file that it had left."""
        left: set[str] = set()
        count, here = 0, ""
        for entry in self.entries:
            if entry.file != here:
                count += entry.file in left
                left.add(here)
                here = entry.file
        return count

    @property
    def summary(self) -> str:
        return (
            f"{len(self.functions)} functions in {len(self.files)} files,"
            f" {self.returns} returns to a file, {len(self.outward)} calls outward"
        )


class _Recorder:
    """A profile function that records from the entry of a handler to a store's batch."""

    def __init__(self, handler: CodeType) -> None:
        self.handler = handler
        self.entries: list[Entry] = []
        self.outward: list[tuple[Entry, Entry]] = []
        self.is_done = False
        # Other tasks run meanwhile; those that the handler starts inherit this.
        self._is_ours: ContextVar[bool] = ContextVar("is_ours", default=False)
        self._seen: set[FrameType] = set()  # a coroutine that goes on is reported as a call again

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call" or self.is_done or frame in self._seen:
            return
        code = frame.f_code
        if code is self.handler:
            self._is_ours.set(True)
            self._seen.update(_callers(frame))
        elif not self._is_ours.get():
            return
        self._seen.add(frame)
        if code.co_qualname.endswith("Store.batch"):
            self.is_done = True
            return
        entry = _entry(code)
        if entry is not None:
            self._record(entry, frame)

    def _record(self, entry: Entry, frame: FrameType) -> None:
        if entry.is_counted:
            self.entries.append(entry)
        if frame.f_code is not self.handler:
            callers = (_entry(caller.f_code) for caller in _callers(frame))
            caller = next(filter(None, callers), None)  # none: it is the first of a task
            if caller is not None and entry.depth < caller.depth:
                self.outward.append((caller, entry))


def _callers(frame: FrameType) -> Iterator[FrameType]:
    while (caller := frame.f_back) is not None:
        yield caller
        frame = caller


def _entry(code: CodeType) -> Entry | None:
    """Return what *code* is called in a trace; None for what is not of this project."""
    file = code.co_filename.removeprefix(f"{ROOT}/")
    return Entry(file, code.co_qualname) if file.startswith(OURS) else None


async def trace(handler: Callable[..., Any], act: Callable[[], Awaitable[Any]]) -> Trace:
    """Return what is entered from *handler* to the commit while *act* makes the request."""
    recorder = _Recorder(handler.__code__)
    before = sys.getprofile()
    sys.setprofile(recorder)
    try:
        await act()
    finally:
        sys.setprofile(before)
    assert recorder.is_done, f"{handler.__name__} did not commit"
    return Trace(recorder.entries, recorder.outward)


def trace_of_a_deployment() -> Trace:
    """Return what `POST /v1/runtime/deployments` enters, for one component that is new."""
    from function_apps.deployments.triggers import ROUTES
    from tests.kit.releases import deploy, provisioned
    from tests.kit.virtual_time import run_virtual
    from tests.kit.world import World

    (route,) = [
        each
        for each in ROUTES
        if (each.method, each.template) == ("POST", "v1/runtime/deployments")
    ]

    async def main() -> Trace:
        world = World()
        await world.boot()
        try:
            environment = await provisioned(world)
            return await trace(route.handler, lambda: deploy(world, environment, "1"))
        finally:
            await world.stop()

    return run_virtual(main())


def main() -> int:
    trace = trace_of_a_deployment()
    for entry in trace.functions:
        print(f"{entry.file:<52}{entry.function}")
    for caller, callee in trace.outward:
        print(f"outward: {caller.function} calls {callee.function} ({callee.file})")
    print(trace.summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
