"""G19: 10,000 instances of one module follow its live configuration; one publish reaches all.

The host is a process of its own with all services and stores at FULL (`memory_app`); this process
is the instances, each a socket of its own and a long poll as `examples/configuration` sends it.
Measured is a publish, from when it was sent:

- until the last instance has the whole answer with the new values: at most 5 s;
- requests of an instance until it waits again with what it has now: at most 2, the one that was
  answered and the one that waits.

The next publish comes when the host has taken what the last one led to: it answers a small question
in no time again.

Run as `.venv/bin/python benchmarks/g19_live_configuration.py [instances]`.
"""

import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import CLOCK, Caller, Hosted, hosted, percentile, provisioned  # noqa: E402
from benchmarks.memory_app import folder_in  # noqa: E402
from benchmarks.rounds import judge  # noqa: E402

INSTANCES = 10_000
ROUNDS = 3
REACHED_MAX_S = 5.0
REQUESTS_MAX = 2.0
AT_ONCE = 500
"""Instances that connect and ask first together; a release rolls out slower."""
WAIT_S = 60
QUIET_S, SOON_S, SOON_TIMES = 0.2, 0.05, 10
MODULE = "module-shop"
VALUES = {f"key{number}": f"value {number}" for number in range(50)}


class Instance(asyncio.Protocol):
    """One socket: asks, takes the answer, says that, and asks again with what it has."""

    def __init__(self, name: str, head: bytes, followers: "Followers") -> None:
        self._name, self._head, self._followers = name, head, followers
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.hash = ""
        self.sent = 0
        self.at_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.ask()

    def ask(self) -> None:
        assert self._transport is not None
        self.sent += 1
        self._transport.write(self._head % (self._name.encode(), self.hash.encode()))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.lower().split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:])
        if len(body) < int(fields.get(b"content-length", b"0")):
            return
        self._received, status = b"", lines[0].split()[1]
        if status == b"200":
            self.hash, self.at_s = fields[b"etag"].strip(b'"').decode(), CLOCK.monotonic_s()
        elif status != b"304":
            self._followers.refused.append(f"{status.decode()} {body[:200].decode()}")
        self._followers.took(self)
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._followers.is_over:
            self._followers.refused.append(f"closed: {exc}")

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class Followers:
    """All instances, and how many of them have the configuration that is waited for."""

    def __init__(self) -> None:
        self.instances: list[Instance] = []
        self.refused: list[str] = []
        self.is_over = False
        self._wanted, self._missing = "", set[Instance]()
        self._all = asyncio.Event()

    def want(self, content_hash: str) -> None:
        self._wanted, self._missing = content_hash, set(self.instances)
        self._all = asyncio.Event()

    def took(self, instance: Instance) -> None:
        if instance.hash == self._wanted:
            self._missing.discard(instance)
        if not self._missing:
            self._all.set()

    async def all_have_it(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._all.wait()
        except TimeoutError:
            print(f"  {len(self._missing)} do not have it; {self.refused[:3]}")

    @property
    def sent(self) -> int:
        return sum(each.sent for each in self.instances)


def head_of(host: Hosted, environment: str, token: str) -> bytes:
    query = urlencode({"environmentId": environment, "moduleId": MODULE, "wait": WAIT_S})
    return (
        f"GET /v1/runtime/effective-configuration?{query}&instance=%b HTTP/1.1\r\n"
        f"Host: {urlsplit(host.url).netloc}\r\nAuthorization: Bearer {token}\r\n"
        'If-None-Match: "%b"\r\n\r\n'
    ).encode()


async def started(host: Hosted, followers: Followers, head: bytes, count: int) -> None:
    """Connect *count* instances, some at once, until each has asked with what it has."""
    loop, at = asyncio.get_running_loop(), urlsplit(host.url)
    turns = asyncio.Semaphore(AT_ONCE)

    async def start(number: int) -> None:
        async with turns:
            _, instance = await loop.create_connection(
                lambda: Instance(f"shop-{number}", head, followers), at.hostname, at.port
            )
            followers.instances.append(instance)
            while not instance.hash:
                await CLOCK.sleep(0.05)

    await asyncio.gather(*(start(number) for number in range(count)))


async def published(caller: Caller, environment: str, expected: int) -> str:
    """Publish the next version and return the hash that the module is given."""
    scope = {"layer": "module", "environmentId": environment, "moduleId": MODULE}
    values = {**VALUES, "version": expected + 1}
    body = {"scope": scope, "values": values, "expectedVersion": expected}
    status, answer = await caller.ask("POST", "/v1/runtime/configurations", body)
    while status == 404:  # the service has not heard of the environment yet
        await CLOCK.sleep(0.1)
        status, answer = await caller.ask("POST", "/v1/runtime/configurations", body)
    assert status == 201, answer
    return str(answer["contentHash"])


async def settled(caller: Caller, environment: str) -> None:
    """Return when the host has nothing left to do: it answers soon, so many times in a row."""
    soon = 0
    while soon < SOON_TIMES:
        await CLOCK.sleep(QUIET_S)
        began_s = CLOCK.monotonic_s()
        await caller.ask("GET", f"/v1/runtime/configurations?environmentId={environment}")
        soon = soon + 1 if CLOCK.monotonic_s() - began_s < SOON_S else 0


async def measured(host: Hosted, count: int) -> list[dict[str, float]]:
    async with Caller(host.url, host.token("acme")) as caller:
        environment = await provisioned(caller)
        await published(caller, environment, 0)
        followers = Followers()
        began_s = CLOCK.monotonic_s()
        await started(host, followers, head_of(host, environment, host.token("acme")), count)
        print(f"  {count} instances wait after {CLOCK.monotonic_s() - began_s:.1f} s", flush=True)
        rounds = []
        for number in range(1, ROUNDS + 1):
            await settled(caller, environment)
            rounds.append(await _round(caller, environment, followers, number))
        followers.is_over = True
        for each in followers.instances:
            each.close()
        if followers.refused:
            print(f"  refused {len(followers.refused)}: {followers.refused[:3]}")
    return rounds


async def _round(
    caller: Caller, environment: str, followers: Followers, version: int
) -> dict[str, float]:
    before, began_s = followers.sent, CLOCK.monotonic_s()
    followers.want("")
    answered = asyncio.create_task(published(caller, environment, version))
    # The answer of the publish may come after those of the instances: they say the hash too.
    followers.want(await answered)
    for each in followers.instances:
        followers.took(each)
    await followers.all_have_it(60.0)
    await settled(caller, environment)
    times = [each.at_s - began_s for each in followers.instances]
    count = len(followers.instances)
    figures = {
        "publish to the last instance, s": max(times),
        "to half of them, s": percentile(times, 0.5),
        # The one that waited was sent before.
        "requests of an instance": 1 + (followers.sent - before) / count,
        "refused": float(len(followers.refused)),
    }
    print(f"  {figures}", flush=True)
    return figures


def main(arguments: Sequence[str]) -> int:
    count = int(arguments[0]) if arguments else INSTANCES
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(usual, min(most, count + 1000)), most))
    print(f"G19 {count} instances follow live configuration ({ROUNDS} publishes)")
    # Each asks twice at its start and once after each publish. Publishes that are as far apart as
    # in life would find the bucket full again; here they follow each other within seconds.
    os.environ["RUNTIME_FOLLOWS_BURST"] = str((2 + ROUNDS) * count)
    with tempfile.TemporaryDirectory() as base, hosted(Path(base), folder_in(Path(base))) as host:
        rounds = asyncio.run(measured(host, count))
    limits = {
        "publish to the last instance, s": REACHED_MAX_S,
        "requests of an instance": REQUESTS_MAX,
        "refused": 0.0,
    }
    return judge("G19", rounds, limits)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
