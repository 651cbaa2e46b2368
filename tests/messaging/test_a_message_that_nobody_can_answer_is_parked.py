"""A command without a handler and a dry run wait for an operator; neither is dropped, nor done."""

from typing import Any

from shared.contracts.shape import Command
from shared.messaging.dispatcher import Dispatcher, Received
from shared.messaging.envelope import Envelope
from shared.messaging.parked_messages import parked_id, parked_partition
from shared.persistence.store import Document
from tests.kit.service import SCOPE
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import an_envelope
from tests.messaging.parts import Parts


class PlanThing(Command):
    dry_run: bool = False


class Desk:
    """One service's dispatcher, of its command queue or of its subscription to events."""

    def __init__(self, *, takes_commands: bool) -> None:
        self.parts, self.planned = Parts(), list[PlanThing]()
        self.dispatch = Dispatcher(
            {PlanThing: self.plan}, self, self.parts.work, self.parts.clock, self.parts.entropy,
            takes_commands=takes_commands,
        )  # fmt: skip

    async def plan(self, payload: PlanThing, _ctx: Any, _app: Any) -> None:
        self.planned.append(payload)

    async def receive(self, envelope: Envelope) -> str | None:
        """Hand *envelope* over and return the code under which it was parked."""
        parked = await self.parked_after(envelope)
        return None if parked is None else str(parked.body["code"])

    async def parked_after(self, envelope: Envelope) -> Document | None:
        """Hand *envelope* over and return what was parked of it."""
        properties = {"cs-tenant-id": envelope.tenant_id}
        await self.dispatch(Received(envelope.to_json(), "application/json", properties))
        store = self.parts.store.inner
        return await store.read(parked_partition(SCOPE), parked_id(envelope.event_id))


def test_a_command_without_a_handler_is_parked_by_name() -> None:
    async def main() -> None:
        desk = Desk(takes_commands=True)

        assert await desk.receive(an_envelope(1, "RepairThing")) == "NoHandler"

    run_virtual(main())


def test_an_event_that_is_for_others_is_left_out() -> None:
    async def main() -> None:
        desk = Desk(takes_commands=False)

        assert await desk.receive(an_envelope(1, "ThingHappened")) is None

    run_virtual(main())


def test_a_dry_run_as_a_message_is_parked_and_nothing_is_done() -> None:
    async def main() -> None:
        desk = Desk(takes_commands=True)
        parked = await desk.parked_after(an_envelope(1, "PlanThing", payload={"dryRun": True}))

        assert parked is not None
        assert parked.body["code"] == "DryRunByMessage"
        assert parked.body["reason"].startswith("PlanThing with dryRun is answered over HTTP")
        assert desk.planned == []

    run_virtual(main())


def test_the_same_command_without_dry_run_is_handled() -> None:
    async def main() -> None:
        desk = Desk(takes_commands=True)
        code = await desk.receive(an_envelope(1, "PlanThing", payload={"dryRun": False}))

        assert code is None
        assert desk.planned == [PlanThing()]

    run_virtual(main())
