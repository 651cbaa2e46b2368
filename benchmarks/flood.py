"""One tenant that floods a host with commands, dry runs and large bodies, until its input ends.

`g15_fairness` starts it: `flood.py URL TOKEN ENVIRONMENT PER_SECOND`. It prints what came of it.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import CLOCK, ENVIRONMENT, Call, Caller, Sample, shown  # noqa: E402

UNDER_WAY_MAX = 1000
"""What a client of this kind keeps open; what is over it is not sent."""
BODY_BYTES = 2**20
ARCHIVE_BYTES = 4 * 2**20


def calls(environment: str) -> Callable[[int], Call]:
    """Return the calls by number: a third commands, a third dry runs, a third large bodies."""
    release = {"environmentId": environment, "releaseRef": "v1"}
    start = json.dumps({**release, "components": []})[:-2].encode()
    large = start + b",".join([b"{}"] * ((BODY_BYTES - len(start) - 2) // 3)) + b"]}"
    component = {
        "moduleId": "module-web", "componentType": "gateway", "version": "1", "port": 8080,
        "artifactDigest": "sha256:" + "0" * 64, "command": ["serve"], "pathPrefix": "/",
    }  # fmt: skip
    plan = json.dumps({**release, "components": [component], "dryRun": True}).encode()

    def new_environment(number: int, **more: Any) -> bytes:
        return json.dumps({**ENVIRONMENT, "name": f"e{number}", **more}).encode()

    makers: tuple[Callable[[int], Call], ...] = (
        lambda n: Call("command", "POST", "/v1/runtime/environments", new_environment(n)),
        lambda n: Call(
            "dry run", "POST", "/v1/runtime/environments", new_environment(n, dryRun=True)
        ),
        lambda _: Call("large body", "POST", "/v1/runtime/deployments", large),
        lambda n: Call("command", "POST", "/v1/runtime/environments", new_environment(n)),
        lambda _: Call("dry run", "POST", "/v1/runtime/deployments", plan),
        lambda _: Call("large body", "POST", "/v1/runtime/artifacts", b"x" * ARCHIVE_BYTES),
    )
    return lambda number: makers[number % len(makers)](number)


async def main(url: str, token: str, environment: str, per_s: float) -> None:
    ended = asyncio.Event()
    reading = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    reading.add_done_callback(lambda _: ended.set())
    make, samples = calls(environment), list[Sample]()
    under_way: set[asyncio.Task[None]] = set()

    async def send(call: Call) -> None:
        samples.append(await caller.send(call))

    async with Caller(url, token) as caller:
        began_s, number, sent = CLOCK.monotonic_s(), 0, 0
        while not ended.is_set():
            if (early_s := began_s + number / per_s - CLOCK.monotonic_s()) > 0:
                await CLOCK.sleep(early_s)
            if len(under_way) < UNDER_WAY_MAX:
                task = asyncio.create_task(send(make(number)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
            number += 1
        took_s = CLOCK.monotonic_s() - began_s
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    print(f"    flood: {sent / took_s:.0f} calls a second")
    for kind in sorted({each.kind for each in samples}):
        print(f"    {kind:<11}{shown([each for each in samples if each.kind == kind])}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:4], float(sys.argv[4])))
