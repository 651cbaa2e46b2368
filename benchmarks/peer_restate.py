"""Restate's side of G1 to G3: the real server, its Python SDK, and a client over HTTP.

Run by `durable_peers.py` in the peer's own environment. Reads `<workflow> <in flight> <count>` per
line and answers with the rate and the latencies.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

binary, folder = sys.argv[1], Path(sys.argv[2])
INGRESS, ADMIN, NODE, SDK = (int(port) for port in sys.argv[3:7])
service = restate.Service("bench")


async def step(value: int) -> int:
    return value + 1


@service.handler()
async def sequence(ctx: restate.Context, value: int) -> int:
    for _ in range(5):
        value = await ctx.run_typed("step", step, value=value)
    return value


@service.handler()
async def fan_out(ctx: restate.Context, value: int) -> int:
    steps = [ctx.run_typed("step", step, value=value) for _ in range(20)]
    return sum([await each for each in await restate.gather(*steps)])


RESULTS = {"sequence": lambda number: number + 5, "fan_out": lambda number: 20 * (number + 1)}


async def until_registered(session: aiohttp.ClientSession) -> None:
    body = {"uri": f"http://127.0.0.1:{SDK}", "use_http_11": False}
    for _ in range(300):
        try:
            async with session.post(f"http://127.0.0.1:{ADMIN}/deployments", json=body) as answer:
                if answer.status < 300:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)  # noqa: TID251  a peer's own process
    raise SystemExit("Restate did not take the deployment")


async def measure(
    session: aiohttp.ClientSession, workflow: str, in_flight: int, count: int
) -> dict[str, Any]:
    left, latencies = iter(range(count)), []

    async def one_by_one() -> None:
        for number in left:
            began = time.perf_counter()
            url = f"http://127.0.0.1:{INGRESS}/bench/{workflow}"
            async with session.post(url, json=number) as answer:
                assert await answer.json() == RESULTS[workflow](number)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(one_by_one() for _ in range(in_flight)))
    return {"rate": count / (time.perf_counter() - began), "latencies_s": sorted(latencies)}


async def main() -> None:
    (folder / "restate.toml").write_text(
        f'[ingress]\nbind-address = "127.0.0.1:{INGRESS}"\n'
        f'[admin]\nbind-address = "127.0.0.1:{ADMIN}"\n'
    )
    command = [
        binary,
        "--base-dir",
        folder / "data",
        "--config-file",
        folder / "restate.toml",
        "--bind-address",
        f"127.0.0.1:{NODE}",
        "--advertised-address",
        f"http://127.0.0.1:{NODE}",
    ]
    with (folder / "restate.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220
    try:
        await answer_lines()
    finally:
        # What is installed is a wrapper: it hands SIGTERM on to the server, SIGKILL it cannot.
        server.terminate()
        server.wait()


async def answer_lines() -> None:
    config = Config()
    config.bind, config.loglevel = [f"127.0.0.1:{SDK}"], "ERROR"
    ended = asyncio.Event()
    sdk = asyncio.create_task(serve(restate.app([service]), config, shutdown_trigger=ended.wait))
    try:
        async with aiohttp.ClientSession() as session:
            await until_registered(session)
            await measure(session, "sequence", 16, 100)
            print("ready", flush=True)
            loop = asyncio.get_running_loop()
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                workflow, *numbers = line.split()
                figures = await measure(session, workflow, *map(int, numbers))
                print(json.dumps(figures), flush=True)
    finally:
        ended.set()
        await sdk


asyncio.run(main())
