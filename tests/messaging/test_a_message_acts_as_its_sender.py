"""What a message causes is owned and audited as its sender's, not as the message type's."""

from typing import Any

import pytest

from shared.contracts.commands import COMMANDS
from shared.contracts.events import EVENTS
from shared.contracts.shape import Command
from shared.kernel.context import Context
from shared.kernel.errors import Conflict
from shared.messaging.dispatcher import Dispatcher, Received, caused_by_message, sender_of
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import an_envelope
from tests.messaging.parts import Parts


class DoThing(Command):
    size: int


COMMAND = an_envelope(1, "DoThing", payload={"size": 3})
NAMED = {
    "by-the-broker-property": ("Deploy", "drift", "service:drift"),
    "by-the-only-sender": ("EvaluateGate", None, "service:deployments"),
    "by-the-only-producer": ("RuntimeTenantBound", None, "service:tenants"),
    "by-its-type": ("RollOutConfiguration", None, "message:RollOutConfiguration"),
    "of-another-platform": ("TenantProvisioned", None, "message:TenantProvisioned"),
    "by-a-property-that-is-no-name": ("EvaluateGate", "user:ann\r\n", "service:deployments"),
}


@pytest.mark.parametrize(("message", "named", "expected"), NAMED.values(), ids=NAMED.keys())
def test_the_sender_is_the_named_one_else_the_only_possible_one(
    message: str, named: str | None, expected: str
) -> None:
    assert message in COMMANDS or message in EVENTS
    assert sender_of(message, named) == expected


@pytest.mark.parametrize(
    ("message", "kind"), [("Deploy", "command"), ("RuntimeTenantBound", "event")]
)
def test_the_audit_record_tells_a_command_from_an_event(message: str, kind: str) -> None:
    assert caused_by_message(an_envelope(1, message), "service:drift").kind == kind


class Handled:
    """A dispatcher that notes the context in which it calls its handler, and refuses on demand."""

    def __init__(self) -> None:
        self.parts, self.is_refusing = Parts(), False
        self.contexts: list[Context] = []
        parts = self.parts
        self.dispatch = Dispatcher(
            {DoThing: self.handle}, self, parts.work, parts.clock, parts.entropy
        )

    async def handle(self, _payload: Any, ctx: Context, _app: Any) -> None:
        self.contexts.append(ctx)
        if self.is_refusing:
            raise Conflict("not now")

    async def receive(self, **properties: str) -> None:
        named = {name.replace("_", "-"): value for name, value in properties.items()}
        await self.dispatch(Received(COMMAND.to_json(), "application/json", named))


def test_a_use_case_acts_as_the_service_that_sent_its_message() -> None:
    async def main() -> None:
        handled = Handled()
        await handled.receive(cs_sender="drift")

        (ctx,) = handled.contexts
        assert (ctx.scope.caller, ctx.cause.actor) == ("service:drift", "service:drift")

    run_virtual(main())


def test_a_replayed_message_acts_as_its_sender_and_the_replay_as_who_asked_for_it() -> None:
    async def main() -> None:
        handled = Handled()
        handled.is_refusing = True
        await handled.receive(cs_sender="drift")
        handled.is_refusing = False
        await handled.dispatch.replay(COMMAND.event_id, handled.parts.ctx())
        await handled.parts.relay_left_behind()

        entries = await handled.parts.audit.entries("acme")
        assert handled.contexts[-1].cause.actor == "service:drift"
        assert [(each.record.action, each.record.actor) for each in entries] == [
            ("ParkMessage", "service:drift"),
            ("ReplayMessage", "user:ann"),
        ]

    run_virtual(main())
