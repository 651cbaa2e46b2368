"""Our side of G1, G2 and G3: the host's engine and worker over a file at synchronous=FULL.

Functions are indexed from a real app object, orchestrations go through the official library.
"""

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final

import azure.durable_functions as df

from local_cloud.sqlite.database import Database
from local_host.apps.indexing import index
from local_host.durable.client import DurableClient, input_text
from local_host.durable.engine import Engine
from local_host.durable.functions import DurableFunctions
from local_host.durable.records import SCHEMA
from local_host.durable.settings import DurableSettings
from local_host.invocation.worker import Worker
from local_host.model import App
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy

logging.disable(logging.WARNING)
app = df.DFApp()


@app.activity_trigger(input_name="value")
async def step(value: int) -> int:
    return value + 1


@app.orchestration_trigger(context_name="context")
def sequence(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    value = context.get_input()
    for _ in range(5):
        value = yield context.call_activity("step", value)
    return value


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    value = context.get_input()
    values = yield context.task_all([context.call_activity("step", value) for _ in range(20)])
    return sum(values)


RESULTS: Final[Mapping[str, Callable[[int], int]]] = {
    "sequence": lambda number: number + 5,
    "fan_out": lambda number: 20 * (number + 1),
}
"""What each workflow makes of a number."""
found = index(App("bench", register=app, host_json={"version": "2.0"}), {})


def measure(in_flight: int, count: int, workflow: str = "sequence") -> dict[str, Any]:
    """Run *count* of *workflow* over a new file; return rate and sorted latencies."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), in_flight, count, workflow))


async def _measure(folder: Path, in_flight: int, count: int, workflow: str) -> dict[str, Any]:
    database, entropy = Database(folder / "host.db", SCHEMA), SystemEntropy()
    worker = Worker(entropy)
    for function in found.functions:
        worker.prepare(function, found.configuration, "", {}, {})
    engine = Engine(
        database,
        [DurableFunctions(found.functions)],
        worker,
        DurableSettings(activities_max=20, orchestrators_max=20),  # the defaults on two cores
        clock=SystemClock(),
        entropy=entropy,
    )
    await engine.start()
    client = DurableClient(engine)
    await _run(engine, client, in_flight, min(count, 100), workflow)
    began = time.perf_counter()
    latencies = await _run(engine, client, in_flight, count, workflow)
    rate = count / (time.perf_counter() - began)
    await engine.stop(1.0)
    worker.close()
    database.close()
    return {"rate": rate, "latencies_s": latencies}


async def _run(
    engine: Engine, client: DurableClient, in_flight: int, count: int, workflow: str
) -> list[float]:
    left, latencies = iter(range(count)), []

    async def one_by_one() -> None:
        for number in left:
            began = time.perf_counter()
            instance_id = await client.start(workflow, given=input_text(number))
            await engine.wait_for_completion(instance_id)
            instance = client.status(instance_id)
            assert instance is not None
            assert instance.output == str(RESULTS[workflow](number))
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(one_by_one() for _ in range(in_flight)))
    return sorted(latencies)
