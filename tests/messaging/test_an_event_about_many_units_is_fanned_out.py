"""One command per unit, the same commands however often the event comes."""

import json

import pytest

from shared.contracts.shape import Command
from shared.kernel.context import Context
from shared.messaging.dispatcher import caused_by_message
from shared.messaging.fan_out import PAGE_MAX, fan_out
from shared.persistence.store import Partition
from tests.kit.service import SCOPE, Bench, bench
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import an_envelope

HOME = Partition("acme", "abcdefghijkl")


class DoUnit(Command):
    name: str


async def _fan_out(at: Bench, count: int) -> None:
    units = [(f"module-{number}", DoUnit(name=str(number))) for number in range(count)]
    cause = caused_by_message(an_envelope(), "service:deployments")
    ctx = Context(SCOPE, cause, at.service.clock, at.service.entropy)
    await fan_out(units, HOME, ctx, at.service.work, project="proj-a")


def test_each_unit_becomes_a_command_to_the_service_itself() -> None:
    async def main() -> None:
        at = bench("secret_bindings")
        await _fan_out(at, 3)

        assert {entity for entity, _ in at.sent.messages} == {"runtime-secret-bindings-commands"}
        assert at.service.relay.service == "secret-bindings"
        bodies = at.sent.bodies("DoUnit")
        assert [each["moduleId"] for each in bodies] == ["module-0", "module-1", "module-2"]
        assert {each["causationId"] for each in bodies} == {an_envelope().event_id}

    run_virtual(main())


def test_an_event_that_comes_again_after_a_crash_makes_the_same_commands() -> None:
    async def main() -> tuple[list[str], list[str]]:
        first, again = bench("catalog", seed=1), bench("catalog", seed=2)
        await _fan_out(first, 5)
        await _fan_out(again, 5)
        return [each.message_id for _, each in first.sent.messages], [
            json.loads(each.body)["eventId"] for _, each in again.sent.messages
        ]

    first, again = run_virtual(main())

    assert first == again
    assert len(set(first)) == 5


def test_another_service_makes_commands_of_its_own() -> None:
    async def main() -> None:
        one, two = bench("catalog"), bench("health")
        await _fan_out(one, 2)
        await _fan_out(two, 2)

        ids = {each["eventId"] for at in (one, two) for each in at.sent.bodies()}
        assert len(ids) == 4

    run_virtual(main())


def test_an_event_handled_already_sends_nothing_more() -> None:
    async def main() -> None:
        at = bench("catalog")
        await _fan_out(at, 2)
        await _fan_out(at, 2)

        assert len(at.sent.messages) == 2

    run_virtual(main())


def test_more_than_a_page_is_our_own_defect() -> None:
    async def main() -> None:
        with pytest.raises(AssertionError):
            await _fan_out(bench("catalog"), PAGE_MAX + 1)

    run_virtual(main())
