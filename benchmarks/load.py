"""A host in a process of its own, and callers of its API: so many requests a second, each timed.

A request that has to wait for the one before it would hide what it is to measure (coordinated
omission), so each is sent when it is due, over as many connections as that takes, and its time
counts from then.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from benchmarks.processes import running
from local_agent.shutdown import stop_agent, stop_everything
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 60.0
CLOCK = SystemClock()
ENVIRONMENT = {
    "name": "shop",
    "projectId": "proj-web",
    "stage": "test",
    "region": "local",
    "computeTargets": [{"kind": "LocalProcess"}],
}


@dataclass(frozen=True)
class Hosted:
    """A host that runs: where it answers, and how its tokens are signed."""

    url: str
    state: Path

    def token(self, tenant: str) -> str:
        issuer = LocalIssuer(self.state / "issuer", DEV_ISSUER, AUDIENCE, CLOCK, SystemEntropy())
        return issuer.token(tenant, "ann", ("Runtime.Admin",))


@contextmanager
def hosted(base: Path, app: Path) -> Iterator[Hosted]:
    """Run the app in the folder *app* with its state below *base*; leave nothing of it running."""
    state = base / "state"
    try:
        with _running(base, app, state) as url:
            yield Hosted(url, state)
    finally:
        asyncio.run(stop_agent(state, CLOCK))
        asyncio.run(stop_everything(state / "surface", CLOCK))


@contextmanager
def _running(base: Path, app: Path, state: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "local_host", app, "--port", "0", "--state", state]
    with (
        Path(base, "stderr").open("w") as errors,
        running(
            command, cwd=ROOT, env={**os.environ, "RUNTIME_PROFILE": "local"},
            stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if ready := re.search(r"ready on (http://\S+)", line):
                break
        else:
            raise RuntimeError(f"the host ended: {Path(errors.name).read_text()}")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield ready[1].rstrip("/")


@dataclass(frozen=True)
class Call:
    """One request. `kind` is what its figures are gathered under."""

    kind: str
    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True)
class Sample:
    """What one request came to; status 0 is no answer."""

    kind: str
    status: int
    took_s: float


class Caller:
    """One tenant's client. Use as a context manager."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self._url,
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self._session.request(method, path, data=content) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None

    async def send(self, call: Call, due_s: float | None = None) -> Sample:
        """Send *call*; its time counts from *due_s*, an instant of the clock."""
        began_s = CLOCK.monotonic_s() if due_s is None else due_s
        try:
            async with self._session.request(call.method, call.path, data=call.body) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            status = 0
        return Sample(call.kind, status, CLOCK.monotonic_s() - began_s)


async def at_rate(
    caller: Caller, calls: Callable[[int], Call], per_s: float, count: int
) -> list[Sample]:
    """Send *count* calls, *per_s* a second, and return what they came to."""
    began_s = CLOCK.monotonic_s()
    tasks = []
    for number in range(count):
        due_s = began_s + number / per_s
        if (early_s := due_s - CLOCK.monotonic_s()) > 0:
            await CLOCK.sleep(early_s)
        tasks.append(asyncio.create_task(caller.send(calls(number), due_s)))
    return list(await asyncio.gather(*tasks))


def percentile(samples: Sequence[float], share: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(samples: Sequence[Sample]) -> str:
    """Return percentiles in milliseconds, and the answers by status (0: none)."""
    times = [sample.took_s * 1000 for sample in samples]
    statuses = ", ".join(
        f"{count} x {status}"
        for status, count in sorted(Counter(each.status for each in samples).items())
    )
    return (
        f"p50 {statistics.median(times):.1f} ms, p95 {percentile(times, 0.95):.1f},"
        f" p99 {percentile(times, 0.99):.1f}, max {max(times):.1f}; {statuses}"
    )


async def provisioned(caller: Caller, name: str = "shop") -> str:
    """Have the environment *name*, and return its id."""
    status, body = await caller.ask(
        "POST", "/v1/runtime/environments", {**ENVIRONMENT, "name": name}
    )
    assert status == 202, body
    identity: str = body["environmentId"]
    while body.get("status") != "Provisioned":
        await CLOCK.sleep(0.05)
        _, body = await caller.ask("GET", f"/v1/runtime/environments/{identity}")
    return identity
