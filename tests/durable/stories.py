"""Orchestrations and activities of a service that exists for these tests only."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.durable.steps import Step, StepFailed, Steps, Story, call, call_all, sleep, wait_for
from shared.kernel.errors import Conflict, Refused, Unavailable
from shared.triggers.durable_triggers import TaskHub, register, register_activity


@dataclass
class App:
    """What the activities are given: how each item ends, and what was tried when."""

    ends: dict[str, list[Exception | None]] = field(default_factory=dict)
    tries: list[tuple[str, Step, float]] = field(default_factory=list)
    now_s: Any = None
    client: df.DurableOrchestrationClient | None = None

    def times(self, item: str) -> list[float]:
        return [at for name, _, at in self.tries if name == item]

    def steps(self, item: str) -> list[Step]:
        return [step for name, step, _ in self.tries if name == item]


@dataclass(frozen=True)
class Made:
    item: str
    attempt: int


async def make(item: str, step: Step, app: App) -> Made:
    app.tries.append((item, step, app.now_s()))
    ends = app.ends.get(item, [])
    end = ends.pop(0) if ends else None
    if end is not None:
        raise end
    return Made(item, step.attempt)


def one(story: Story) -> Steps[str]:
    """Make one item and tell how it ended."""
    try:
        made = yield from call(story, make, story.context.get_input())
    except Refused as refusal:
        return f"refused {refusal.code}"
    except Unavailable:
        return "unavailable"
    except StepFailed as failed:
        return f"failed {failed.name}: {failed.message}"
    assert isinstance(made, Made)
    return f"made {made.item} at {made.attempt}"


def several(story: Story) -> Steps[list[Made]]:
    """Make all items at once, after one that comes first."""
    yield from call(story, make, "first")
    made = yield from call_all(story, make, story.context.get_input())
    yield from call(story, make, "last")
    return made


def none_at_all(story: Story) -> Steps[list[Made]]:
    return (yield from call_all(story, make, []))


def patient(story: Story) -> Steps[bool]:
    """Wait a minute for a nudge."""
    yield from sleep(story, 1)
    return (yield from wait_for(story, "nudge", story.now + timedelta(seconds=60)))


def held() -> Refused:
    return Conflict("it is held", code="Held", target="/item")


def app_of(app: App) -> df.DFApp:
    """Return a Functions app with all of the above, over *app*."""
    functions = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    blueprint = df.Blueprint()
    hub = TaskHub()
    for orchestration in (one, several, none_at_all, patient):
        register(blueprint, orchestration, version=3)
    register_activity(blueprint, make, app, hub)
    functions.register_functions(blueprint)

    @functions.route("tell/{verb}/{instance}/{name}", methods=["POST"])
    @functions.durable_client_input(client_name="client")
    async def tell(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> str:
        """Start or wake an instance through the port, with the library's own client."""
        app.client = client
        hub.attach(client)
        verb, instance, name = (req.route_params[each] for each in ("verb", "instance", "name"))
        try:
            if verb == "start":
                await hub.start(name, instance, {"item": "a"})
            else:
                await hub.wake(instance, name)
        except Unavailable as problem:
            return f"unavailable: {problem.message}"
        return "done"

    return functions
