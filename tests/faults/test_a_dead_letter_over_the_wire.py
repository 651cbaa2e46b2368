"""A dead letter is listed and replayed through azure-servicebus, twice, late, and over cuts."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import azure.functions as func
import pytest
from pydantic import BaseModel

from tests.faults.inputs import EVENT, Call, Prepared
from tests.faults.table import INPUTS, routes
from tests.faults.wire_runs import Place, WireRun
from tests.kit.cut_proxy import Drip
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual
from tests.kit.wire_app import BUS, Wires, wired

pytestmark = [pytest.mark.once, pytest.mark.real]
EVERY: Final = 9
"""So many times fewer cuts than there are places: a replay opens two connections."""
GIVEN_UP: Final = pytest.mark.parametrize(
    ("service", "message"),
    [
        pytest.param("catalog", "RuntimeDeploymentCompleted", id="of-the-subscription"),
        pytest.param("health", "WatchRelease", id="of-the-queue", marks=pytest.mark.sweep),
    ],
)


def replay_of(wires: Wires, prepared: Prepared) -> WireRun:
    """Return the run in which the message of *prepared* is a dead letter, which is replayed."""
    route = routes()[wires.service, f"POST v1/platform/{wires.service}/parked/{{eventId}}/replay"]
    assert isinstance(prepared.sent, BaseModel)
    return WireRun(wires, replace(prepared, sent=Call(), given_up=prepared.sent), route)


async def listed(wires: Wires) -> Sequence[str]:
    """Return the event ids of the dead letters that the app shows on its first page."""
    headers = {"authorization": f"Bearer {wires.issuer.token(TENANT, 'ann', ['Runtime.Operate'])}"}
    url = f"http://app.test/v1/platform/{wires.service}/parked?deadLettered=true"
    request = func.HttpRequest(method="GET", url=url, headers=headers, body=b"")
    answer: func.HttpResponse = await wires.run("list_parked", req=request)
    return [each["messageId"] for each in json.loads(answer.get_body())["value"]]


@pytest.mark.long
@GIVEN_UP
def test_it_is_listed_and_its_replay_has_one_effect_also_twice_and_late(
    service: str, message: str, tmp_path: Path
) -> None:
    prepared = run_virtual(INPUTS[service, message]())

    async def main() -> None:
        async with wired(service, tmp_path) as wires:
            run = replay_of(wires, prepared)
            await run.begin()
            assert await listed(wires) == [EVENT]
            expected = await run.undisturbed()
            assert (expected.answer[0], expected.dead_letters) == (2, 0)
            assert '"Replayed"' in expected.answer[1]
            assert [*expected.differences(await run.repeated())] == []

    asyncio.run(main())


@pytest.mark.long
@GIVEN_UP
def test_a_cut_on_the_way_to_the_namespace_loses_and_doubles_nothing(
    service: str, message: str, tmp_path: Path
) -> None:
    prepared = run_virtual(INPUTS[service, message]())

    async def main() -> dict[Place, Sequence[str]]:
        async with wired(service, tmp_path) as wires:
            run = replay_of(wires, prepared)
            expected = await run.undisturbed()
            cuts = [
                each
                for each in run.places()
                if each.wire == BUS and not isinstance(each.fault, Drip)
            ]
            ends = {cut: await run.disturbed(cut) for cut in cuts[::EVERY]}
            return {
                cut: wrong for cut, end in ends.items() if (wrong := [*expected.differences(end)])
            }

    assert asyncio.run(main()) == {}
