"""G16: 20 tenants ask for 200 rollouts at once, on the surface in memory.

The host is a process of its own with all services, sockets, stores at FULL (`memory_app`); this
process is the clients. Each tenant has an environment, ten modules and one caller, and reads each
of its rollouts every two seconds. Asked is

- that none starves: all complete, and the tenant that waits longest waits at most twice as long as
  the one that waits least;
- how long each call takes here, from when it was sent to its whole answer: p95 of all calls;
- publish → handled: from the commit that sent a message to the commit of each handler that changed
  something by it, as `/events` and `/audit` of the services have them: p95.

Run as `.venv/bin/python benchmarks/g16_scale.py`.
"""

import asyncio
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import (  # noqa: E402
    CLOCK,
    Caller,
    Hosted,
    Sample,
    hosted,
    percentile,
    provisioned,
    shown,
)
from benchmarks.memory_app import folder_in  # noqa: E402
from benchmarks.rounds import judge  # noqa: E402
from shared.kernel.clock import parse_instant  # noqa: E402

TENANTS = 20
MODULES = 10
POLL_EVERY_S = 2.0
ROUNDS = 3
API_P95_MAX_S = 0.3
HANDLED_P95_MAX_S = 5.0
SPREAD_MAX = 2.0
ENDED = ("Completed", "RolledBack", "Failed", "Cancelled")
SENT_BY = {
    "EvaluateGate": "RequestAnalysis",
    "RecordRelease": "CompleteDeployment",
    "WatchRelease": "CompleteDeployment",
}
"""Commands are in nobody's `/events`: the change of the same trace whose commit sent each."""
AUDITED_WITHIN_S = 5.0
SERVICES = ("environments", "deployments", "catalog", "health")


class Tenant:
    """One tenant's client, its environment and its artifact."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.samples: list[Sample] = []
        self.environment = ""
        self.digest = ""

    async def prepare(self, number: int) -> None:
        self.environment = await provisioned(self.caller)
        _, artifact = await self.caller.ask("POST", "/v1/runtime/artifacts", archive(number))
        self.digest = artifact["digest"]

    async def roll_out(self, module: int) -> tuple[str, float]:
        """Return how the rollout of *module* ended, and after how many seconds."""
        asked_s = CLOCK.monotonic_s()
        answer = await self._send("POST", "/v1/runtime/deployments", self._release(module))
        path = f"/v1/runtime/deployments/{answer['deploymentId']}"
        while answer["status"] not in ENDED:
            await CLOCK.sleep(POLL_EVERY_S)
            answer = await self._send("GET", path)
        return answer["status"], CLOCK.monotonic_s() - asked_s

    def _release(self, module: int) -> bytes:
        component = {
            "moduleId": f"module-w{module}",
            "componentType": "gateway",
            "version": "1",
            "artifactDigest": self.digest,
            "command": ["serve"],
            "port": 8080,
            "replicas": 2,
            "pathPrefix": f"/w{module}",
            "probes": {"readiness": {"path": "/"}},
        }
        release = {"environmentId": self.environment, "releaseRef": f"v{module}"}
        return json.dumps({**release, "components": [component]}).encode()

    async def _send(self, method: str, path: str, body: bytes | None = None) -> Any:
        began_s = CLOCK.monotonic_s()
        status, answer = await self.caller.ask(method, path, body)
        self.samples.append(Sample(method, status, CLOCK.monotonic_s() - began_s))
        assert status in {200, 202}, answer
        return answer

    async def delays(self) -> list[float]:
        """Return seconds from each publication to each change that another service made by it."""
        published: dict[str, Any] = {}
        records = []
        for service in SERVICES:
            for event in await self._all(f"/v1/platform/{service}/events"):
                published[event["eventId"]] = parse_instant(event["occurredAt"])
            records += await self._all(f"/v1/platform/{service}/audit")
        at = {(each["traceId"], each["action"]): parse_instant(each["at"]) for each in records}
        delays = []
        for record in records:
            kind, _, cause = record["reason"].partition(" ")
            sent_at = published.get(cause.partition(":")[0]) if kind == "event" else None
            if kind == "command":
                sent_at = at.get((record["traceId"], SENT_BY.get(record["action"], "")))
            if sent_at is not None:
                delays.append((parse_instant(record["at"]) - sent_at).total_seconds())
        return delays

    async def _all(self, path: str) -> list[Any]:
        rows: list[Any] = []
        link: str | None = f"{path}?top=200"
        while link is not None:
            _, page = await self.caller.ask("GET", link)
            rows += page["value"]
            link = page["nextLink"] and page["nextLink"].partition("://")[2].partition("/")[2]
            link = link and f"/{link}"
        return rows


def archive(number: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr(zipfile.ZipInfo("number"), str(number))
    return target.getvalue()


async def measured(host: Hosted) -> dict[str, float]:
    """Run all rollouts once, print what came of it, and return the figures."""
    async with AsyncExitStack() as stack:
        callers = [Caller(host.url, host.token(f"tenant-{n}")) for n in range(TENANTS)]
        tenants = [Tenant(await stack.enter_async_context(caller)) for caller in callers]
        await asyncio.gather(*(each.prepare(number) for number, each in enumerate(tenants)))
        ends = await asyncio.gather(
            *(each.roll_out(module) for module in range(MODULES) for each in tenants)
        )
        await CLOCK.sleep(AUDITED_WITHIN_S)
        delays = [delay for each in tenants for delay in await each.delays()]
    return report(ends, [sample for each in tenants for sample in each.samples], delays)


def report(
    ends: Sequence[tuple[str, float]], samples: Sequence[Sample], delays: Sequence[float]
) -> dict[str, float]:
    waited = [max(took_s for _, took_s in ends[n::TENANTS]) for n in range(TENANTS)]
    completed = sum(status == "Completed" for status, _ in ends)
    print(f"  {completed} of {len(ends)} rollouts completed; the last of each tenant after"
          f" {min(waited):.1f} to {max(waited):.1f} s")  # fmt: skip
    for kind in ("POST", "GET"):
        print(f"  {kind:<6}{shown([each for each in samples if each.kind == kind])}")
    print(f"  publish → handled, {len(delays)} times: p50 {percentile(delays, 0.5):.2f} s,"
          f" p95 {percentile(delays, 0.95):.2f}, max {max(delays):.2f}", flush=True)  # fmt: skip
    times = [each.took_s for each in samples]
    posts = [each.took_s for each in samples if each.kind == "POST"]
    return {
        "not completed": len(ends) - completed,
        "longest wait of a tenant, x the shortest": max(waited) / min(waited),
        "p95 of all calls, s": percentile(times, 0.95),
        "p95 of the 200 commands, s": percentile(posts, 0.95),
        "p95 of reads, s": percentile(
            [each.took_s for each in samples if each.kind == "GET"], 0.95
        ),
        "p95 of publish → handled, s": percentile(delays, 0.95),
    }


def figures() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as base:
        app = folder_in(Path(base))
        with hosted(Path(base), app) as host:
            return asyncio.run(measured(host))


def main() -> int:
    print(f"G16 {TENANTS} tenants, {TENANTS * MODULES} rollouts at once ({ROUNDS} rounds)")
    rounds = [figures() for _ in range(ROUNDS)]
    limits = {
        "not completed": 0.0,
        "longest wait of a tenant, x the shortest": SPREAD_MAX,
        "p95 of all calls, s": API_P95_MAX_S,
        "p95 of publish → handled, s": HANDLED_P95_MAX_S,
    }
    return judge("G16", rounds, limits)


if __name__ == "__main__":
    sys.exit(main())
