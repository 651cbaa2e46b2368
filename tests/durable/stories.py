"""Orchestrations and activities of a service that exists for these tests only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func

import shared.kernel.operation as operations
from shared.composition.service import Service
from shared.durable.activity import ActivityContext, Step, commit_step
from shared.durable.operations import OPERATIONS, OperationInput
from shared.durable.orchestration import (
    ActivityFailed,
    Orchestration,
    OrchestrationContext,
    call,
    call_all,
    sleep,
    wait_for,
)
from shared.durable.task_hub import TaskHub
from shared.kernel.errors import Conflict, Refused, Unavailable
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited, Raise
from shared.persistence.codec import DocumentCodec, Put
from shared.persistence.store import Create, Partition
from shared.triggers.durable_triggers import register, register_activity, register_fail_operation
from tests.kit.service import TENANT, Bench, bench

KEY: Final = "abcdefghijkl"
HOME: Final = Partition(TENANT, KEY)
THING_ID: Final = f"env-{KEY}"
OPERATION_ID: Final = f"op-environments-{KEY}-0000000000000001"
INPUT: Final = OperationInput(TENANT, THING_ID).start("", "").input


@dataclass(frozen=True)
class Thing:
    """An aggregate that counts what was done to it."""

    operation_id: str
    fence_token: int = 1
    count: int = 0


THINGS: Final = DocumentCodec(Thing, "thing", key="operation_id", document="thing")


@dataclass
class App:
    """The given of the activities: how each item ends, and which attempts there were when."""

    at: Bench = field(default_factory=lambda: bench("environments"))
    ends: dict[str, list[Exception | None]] = field(default_factory=dict)
    tries: list[tuple[str, ActivityContext, float]] = field(default_factory=list)
    client: df.DurableOrchestrationClient | None = None

    @property
    def service(self) -> Service:
        return self.at.service

    def times(self, item: str) -> list[float]:
        return [at for name, _, at in self.tries if name == item]

    def contexts(self, item: str) -> list[ActivityContext]:
        return [ctx for name, ctx, _ in self.tries if name == item]

    async def keep(
        self, change: Callable[[Operation], Operation] = lambda it: it, owner: str = OPERATION_ID
    ) -> None:
        """Store the operation of these tests after *change*, and a thing that *owner* holds."""
        accepted = operations.accept(
            OPERATION_ID, "MakeThing", "/v1/things/1", "user:ann", "durable_one", INPUT,
            self.service.clock.now(),
        )  # fmt: skip
        await self.service.store.batch(
            HOME,
            [
                Create(OPERATIONS.document_id(OPERATION_ID), OPERATIONS.encode(change(accepted))),
                Create("thing", THINGS.encode(Thing(owner))),
            ],
        )

    async def operation(self) -> Operation:
        document = await self.service.store.read(HOME, OPERATIONS.document_id(OPERATION_ID))
        assert document is not None
        return OPERATIONS.decode(document.body)

    async def thing(self) -> Thing:
        document = await self.service.store.read(HOME, "thing")
        assert document is not None
        return THINGS.decode(document.body)


@dataclass(frozen=True)
class Made:
    item: str
    attempt: int


async def make(item: str, ctx: ActivityContext, app: App) -> Made:
    """Make *item*, or end as the test says."""
    app.tries.append((item, ctx, app.service.clock.monotonic_s()))
    ends = app.ends.get(item, [])
    end = ends.pop(0) if ends else None
    if end is not None:
        raise end
    return Made(item, ctx.attempt)


async def count(ctx: ActivityContext, app: App) -> int:
    """Add one to the thing, once in this operation."""
    return await commit_step(ctx, app, THINGS, add_one(ctx))


async def look(ctx: ActivityContext, app: App) -> int:
    """Add one to the thing at each look."""
    return await commit_step(ctx, app, THINGS, add_one(ctx), is_recorded=False)


async def finish(ctx: ActivityContext, app: App) -> int:
    """Add one to the thing and end the operation."""

    def decide(thing: Thing, operation: Operation) -> Step[int]:
        step = add_one(ctx)(thing, operation)
        ended = operation.succeed({"count": step.value}, ctx.now())
        return replace(step, operation=ended)

    return await commit_step(ctx, app, THINGS, decide)


def add_one(ctx: ActivityContext) -> Callable[[Thing, Operation], Step[int]]:
    def decide(thing: Thing, operation: Operation) -> Step[int]:
        after = replace(thing, count=thing.count + 1)
        return Step(
            after.count,
            operation.begin_step("count", ctx.now(), percent=50),
            writes=[Put("thing", THINGS.encode(after))],
            outbox=[Raise("somebody", "counted")],
            audited=Audited("Count", "thing"),
        )

    return decide


def one(context: OrchestrationContext) -> Orchestration[str]:
    """Make one item and return how it ended."""
    try:
        made = yield from call(context, make, "a")
    except Refused as refusal:
        return f"refused {refusal.code}"
    except Unavailable:
        return "unavailable"
    except ActivityFailed as failed:
        return f"failed {failed.name}: {failed.message}"
    return f"made {made.item} at {made.attempt}"


def several(context: OrchestrationContext) -> Orchestration[list[Made]]:
    """Make three items at once, after one that comes first."""
    yield from call(context, make, "first")
    made = yield from call_all(context, make, ["a", "b", "c"])
    yield from call(context, make, "last")
    return made


def none_at_all(context: OrchestrationContext) -> Orchestration[list[Made]]:
    return (yield from call_all(context, make, []))


def patient(context: OrchestrationContext) -> Orchestration[bool]:
    """Wait a minute for a nudge."""
    yield from sleep(context, 1)
    return (yield from wait_for(context, "nudge", context.now + timedelta(seconds=60)))


def plain(context: OrchestrationContext) -> Orchestration[int]:
    """Make an item, count, end the operation; handle no problem."""
    yield from call(context, make, "a")
    yield from call(context, count)
    return (yield from call(context, finish))


def recording(context: OrchestrationContext) -> Orchestration[None]:
    """Make an item; where it is refused, record that."""
    try:
        yield from call(context, make, "a")
    except Refused:
        yield from call(context, make, "failure")


def faulty(context: OrchestrationContext) -> Orchestration[str]:
    """Make an item, then meet a defect of its own."""
    made = yield from call(context, make, "a")
    return {"b": "another"}[made.item]


def held() -> Refused:
    return Conflict("it is held", code="Held", target="/item")


ORCHESTRATORS: Final = (one, several, none_at_all, patient, plain, recording, faulty)
ACTIVITIES: Final[Mapping[str, Any]] = {"make": make, "count": count, "finish": finish}


def app_of(app: App) -> df.DFApp:
    """Return a Functions app with all of the above, over *app*."""
    functions = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    blueprint = df.Blueprint()
    hub = TaskHub()
    for orchestrator in ORCHESTRATORS:
        register(blueprint, orchestrator, version=3)
    for activity in ACTIVITIES.values():
        register_activity(blueprint, activity, app, hub)
    register_fail_operation(blueprint, "durable", app, hub)
    functions.register_functions(blueprint)

    @functions.route("tell/{verb}/{instance}/{name}", methods=["POST"])
    @functions.durable_client_input(client_name="client")
    async def tell(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> str:
        """Start an instance or raise an event through the port, with the library's client."""
        app.client = client
        hub.attach(client)
        verb, instance, name = (req.route_params[each] for each in ("verb", "instance", "name"))
        try:
            if verb == "start":
                await hub.start(name, instance, INPUT)
            else:
                await hub.raise_event(instance, name)
        except Unavailable as problem:
            return f"unavailable: {problem.message}"
        return "done"

    return functions
