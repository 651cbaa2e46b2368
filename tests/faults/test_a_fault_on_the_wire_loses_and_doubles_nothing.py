"""Every command and event of every app, over Microsoft's SDKs, with a fault at every request.

The inputs are the rows of the route tables and of the dispatchers: a new one without a preparation
fails the first test.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.faults.inputs import Row
from tests.faults.table import INPUTS, routes
from tests.faults.wire_runs import End, WireRun
from tests.kit.costs import SERVICES
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import run_virtual
from tests.kit.wire_app import wired

pytestmark = [pytest.mark.once, pytest.mark.real]
EVERY: Final = 1 if os.environ.get("SWEEP") == "all" else 47
"""Of a long run: so many times fewer places, unless SWEEP=all; coprime to the kinds of faults."""
PARTS: Final = {"deployments": 5, "environments": 2}
"""In so many parts of about a minute the inputs of a service are run, beside each other."""
OF_A_SAMPLE: Final = 67
"""So many times fewer places than all; coprime to the kinds of faults, so that each is met."""


def messages() -> Iterator[Row]:
    for name, module in SERVICES.items():
        for payload in (*module.EVENTS, *module.COMMANDS):
            yield name, payload.__name__


def test_every_command_and_event_is_tried() -> None:
    assert set(INPUTS) == {*routes(), *messages()}


def test_a_sample_of_faults(tmp_path: Path) -> None:
    assert not wrong_ends("environments", tmp_path, every=OF_A_SAMPLE)


@pytest.mark.long(minutes=1)
@pytest.mark.parametrize(
    ("service", "part"),
    [(service, part) for service in SERVICES for part in range(PARTS.get(service, 1))],
)
def test_faults_at_many_requests(service: str, part: int, tmp_path: Path) -> None:
    part_of = slice(part, None, PARTS.get(service, 1))

    assert not wrong_ends(service, tmp_path, every=EVERY, part_of=part_of)


def wrong_ends(
    service: str, folder: Path, *, every: int, part_of: slice = slice(None)
) -> dict[str, object]:
    """Return the runs that did not end as without a fault, with the differences."""
    rows = [row for row in INPUTS if row[0] == service][part_of]
    prepared = {row: run_virtual(INPUTS[row]()) for row in rows}

    async def main() -> dict[str, object]:
        wrong: dict[str, object] = {}
        async with wired(service, folder) as wires:
            first = next(iter(prepared))
            runs = [(first, WireRun(wires, prepared[first], routes().get(first), is_cold=True))]
            runs += [
                (row, WireRun(wires, given, routes().get(row))) for row, given in prepared.items()
            ]
            number = 0
            for row, run in runs:
                expected = await run.undisturbed()
                tries = [("comes twice at once, and late", run.repeated)]
                for place in run.places():
                    number += 1
                    if number % every == 0:
                        tries.append((str(place), partial(run.disturbed, place)))
                for what, end in tries:
                    if found := await differences(expected, end):
                        wrong[f"{row[1]}: {what}"] = found
        return wrong

    return asyncio.run(main())


async def differences(expected: End, end: Callable[[], Awaitable[End]]) -> Sequence[str]:
    """Return what differs in *end*, or how it failed: all failures are listed together."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return [*expected.differences(await end())]
    except Exception as problem:  # noqa: BLE001
        return [repr(problem)]
