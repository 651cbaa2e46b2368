"""G15: what another tenant notices of one that floods the host with 100 times as many calls.

The host is the whole system in a process of its own, the flood is a process (`flood`), and this
process is the other tenant. It sends four calls a second, reads and plans in turn, for fifteen
seconds without the flood and for fifteen beside it, in alternation; each call counts from when it
was due. The flood runs for five seconds first, so that its burst is over. Asked is its p99 beside
the flood, over all rounds, against that without it.

Then M4: 40 dry runs of one tenant at once, and the other's plan of an environment among them
against its plan alone; and, without a goal, how long an environment takes to be provisioned alone
and beside the flood.

Run as `.venv/bin/python benchmarks/g15_fairness.py`.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import (  # noqa: E402
    CLOCK,
    ENVIRONMENT,
    Call,
    Caller,
    Hosted,
    Sample,
    at_rate,
    hosted,
    percentile,
    provisioned,
    shown,
)
from benchmarks.processes import running  # noqa: E402
from benchmarks.rounds import judge  # noqa: E402

PER_S = 4.0
TIMES = 100
MEASURED_S = 15
BURST_S = 5.0
REST_S = 3.0
ROUNDS = 3
"""Of a minute and a half."""
DRY_RUNS = 40
P99_RATIO_MAX = 3.0
PLAN_RATIO_MAX = 2.0


@contextmanager
def flood(host: Hosted, environment: str) -> Iterator[None]:
    script = ROOT / "benchmarks" / "flood.py"
    command = [sys.executable, script, host.url, host.token("loud"), environment, PER_S * TIMES]
    with running(command, stdin=subprocess.PIPE):
        yield


def calls(environment: str) -> Sequence[Call]:
    component = {
        "moduleId": "module-web", "componentType": "gateway", "version": "1", "port": 8080,
        "artifactDigest": "sha256:" + "0" * 64, "command": ["serve"], "pathPrefix": "/",
    }  # fmt: skip
    release = {"environmentId": environment, "releaseRef": "v1", "components": [component]}
    return (
        Call("list", "GET", "/v1/runtime/environments"),
        Call("read", "GET", f"/v1/runtime/environments/{environment}"),
        Call("plan", "POST", "/v1/runtime/deployments", json.dumps(
            {**release, "dryRun": True}).encode()),
        Call("list", "GET", "/v1/runtime/deployments"),
        Call("list", "GET", "/v1/runtime/services"),
    )  # fmt: skip


async def ask_steadily(quiet: Caller, environment: str) -> list[Sample]:
    known = calls(environment)
    count = int(PER_S * MEASURED_S)
    return await at_rate(quiet, lambda number: known[number % len(known)], PER_S, count)


def a_plan(name: str) -> Call:
    body = json.dumps({**ENVIRONMENT, "name": name, "dryRun": True}).encode()
    return Call("plan", "POST", "/v1/runtime/environments", body)


async def plan_among_dry_runs(quiet: Caller, loud: Caller, number: int) -> tuple[float, float]:
    """Return the seconds of a plan alone, and of one among the dry runs of another tenant."""
    alone = await quiet.send(a_plan(f"alone{number}"))
    async with asyncio.TaskGroup() as others:
        for other in range(DRY_RUNS):
            others.create_task(loud.send(a_plan(f"dry{number}x{other}")))
        await CLOCK.sleep(0.3)
        among = await quiet.send(a_plan(f"among{number}"))
    assert (alone.status, among.status) == (200, 200), (alone, among)
    return alone.took_s, among.took_s


async def seconds_to_provision(quiet: Caller, name: str) -> float:
    began_s = CLOCK.monotonic_s()
    await provisioned(quiet, name)
    return CLOCK.monotonic_s() - began_s


async def measured(host: Hosted, rounds: int) -> dict[str, float]:
    without, beside = list[Sample](), list[Sample]()
    plans, waits = list[tuple[float, float]](), list[tuple[float, float]]()
    async with (
        Caller(host.url, host.token("quiet")) as quiet,
        Caller(host.url, host.token("loud")) as loud,
    ):
        environment, others = await provisioned(quiet), await provisioned(loud)
        for number in range(rounds):
            plans.append(await plan_among_dry_runs(quiet, loud, number))
            await CLOCK.sleep(REST_S)
            without += await ask_steadily(quiet, environment)
            alone_s = await seconds_to_provision(quiet, f"alone{number}")
            with flood(host, others):
                await CLOCK.sleep(BURST_S)
                beside += await ask_steadily(quiet, environment)
                waits.append((alone_s, await seconds_to_provision(quiet, f"beside{number}")))
            await CLOCK.sleep(REST_S)
    print(f"  without the flood     {shown(without)}")
    print(f"  beside it             {shown(beside)}")
    return {
        "p99 without the flood, ms": p99_ms(without),
        "p99 beside it, ms": p99_ms(beside),
        "p99, x": p99_ms(beside) / p99_ms(without),
        "a plan alone, s": statistics.median(alone for alone, _ in plans),
        f"a plan among {DRY_RUNS} dry runs, s": statistics.median(among for _, among in plans),
        "a plan, x": statistics.median(among / alone for alone, among in plans),
        "an environment alone, s": statistics.median(alone for alone, _ in waits),
        "an environment beside the flood, s": statistics.median(beside for _, beside in waits),
    }


def p99_ms(samples: Sequence[Sample]) -> float:
    assert {each.status for each in samples} == {200}, samples
    return percentile([each.took_s for each in samples], 0.99) * 1000


def figures(rounds: int = 1) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as base, hosted(Path(base), ROOT) as host:
        return asyncio.run(measured(host, rounds))


def main() -> int:
    print(f"G15 fairness, {PER_S:g} calls a second beside {PER_S * TIMES:g} ({ROUNDS} rounds)")
    limits = {"p99, x": P99_RATIO_MAX, "a plan, x": PLAN_RATIO_MAX}
    return judge("G15", [figures(ROUNDS)], limits)


if __name__ == "__main__":
    sys.exit(main())
