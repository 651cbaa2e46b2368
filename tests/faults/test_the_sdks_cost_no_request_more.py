"""Over the SDKs an input costs the requests that its app asks of its store, and no more."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.table import INPUTS, routes
from tests.faults.wire_runs import Cost, WireRun
from tests.kit.apps import sampled
from tests.kit.cost_table import TABLE
from tests.kit.costs import SERVICES
from tests.kit.virtual_time import run_virtual
from tests.kit.wire_app import wired

pytestmark = [pytest.mark.once, pytest.mark.real]


@pytest.mark.parametrize("service", sampled(SERVICES))
def test_every_input_costs_at_the_endpoint_what_it_asks(service: str, tmp_path: Path) -> None:
    prepared = {row: run_virtual(INPUTS[row]()) for row in INPUTS if row[0] == service}

    async def main() -> dict[tuple[str, str], Cost]:
        async with wired(service, tmp_path) as wires:
            runs = {
                row: WireRun(wires, given, routes().get(row)) for row, given in prepared.items()
            }
            # The first connects, and reads what the SDK keeps.
            await next(iter(runs.values())).undisturbed()
            return {row: await run.cost() for row, run in runs.items()}

    costs = asyncio.run(main())

    for row, cost in costs.items():
        assert cost.at_the_endpoint == cost.asked, row
        if row in TABLE and row in routes():
            allowed = TABLE[row]
            assert cost.reads - allowed.reads - allowed.queries in {0, allowed.at_first}, row
            assert cost.batches == allowed.batches, row
