"""The load generator as a process, and the requests that it recorded."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cli.demo.proxy_counters import ProxyCounters, read_counters
from cli.state_folder import REPOSITORY
from shared.kernel.clock import parse_instant

RATE: Final = 60
"""Requests per second: an application of this size on two cores serves a few hundred."""
_ENDS_WITHIN_S: Final = 15


@dataclass(frozen=True)
class RequestRecord:
    """One request; `failure` is empty when it was answered in time.

    `load` is the load average of the machine, of one minute, when it ended.
    """

    sent_at: datetime
    latency_ms: float
    status: int
    release: str
    failure: str
    load: float


@dataclass(frozen=True)
class LoadTotals:
    """The totals of all requests; `failures` has one line for each failed request."""

    served: int
    failures: Sequence[str]
    releases: Counter[str]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slowest_ms: float
    seconds: float
    load_max: float

    @property
    def rate(self) -> float:
        return (self.served + len(self.failures)) / self.seconds if self.seconds else 0.0


class LoadProcess:
    """Starts and stops the load generator, and reads its files."""

    def __init__(self, folder: Path) -> None:
        self._requests_file = folder / "requests.jsonl"
        self._counters_file = folder / "proxy.json"
        self._log_file = folder / "client.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        url: str,
        *,
        rate: float = RATE,
        proxy: tuple[Path, str] | None = None,
        within: Sequence[str] = (),
    ) -> int:
        """Start sending requests; return the pid of the load generator.

        *proxy* are the folder of a proxy of this machine, and the service whose counters count.
        *within* is put before the command, so that it runs in another network, say.
        """
        self._requests_file.parent.mkdir(parents=True, exist_ok=True)
        command = [
            *within, sys.executable, "-m", "cli.demo.load_generator",
            url, str(rate), str(self._requests_file),
        ]  # fmt: skip
        if proxy is not None:
            folder, service = proxy
            command += [str(folder), service, str(self._counters_file)]
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self._process.pid

    def stop(self) -> None:
        """Stop after the last response; kill after a timeout."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def requests(self) -> list[RequestRecord]:
        """Return every request that has ended."""
        try:
            lines = self._requests_file.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        # The last part is empty, or an incomplete line.
        records = [json.loads(line) for line in lines[:-1]]
        return [
            RequestRecord(
                parse_instant(record["at"]),
                record["ms"],
                record["status"],
                record["release"],
                record["failed"],
                record["load"],
            )
            for record in records
        ]

    def proxy_counters(self) -> ProxyCounters:
        return read_counters(self._counters_file)

    def totals(self) -> LoadTotals:
        return totals_of(self.requests())


def totals_of(requests: Sequence[RequestRecord]) -> LoadTotals:
    """Return the totals of *requests*."""
    latencies = sorted(request.latency_ms for request in requests) or [0.0]
    p50, p95, p99 = (
        latencies[min(len(latencies) - 1, int(len(latencies) * fraction))]
        for fraction in (0.5, 0.95, 0.99)
    )
    served = [request for request in requests if not request.failure]
    failed = [request for request in requests if request.failure]
    times = [request.sent_at for request in requests]
    return LoadTotals(
        served=len(served),
        failures=[
            f"{request.sent_at.time()} {request.failure}, load average {request.load:.1f}"
            for request in failed
        ],
        releases=Counter(request.release for request in served if request.release),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        slowest_ms=latencies[-1],
        seconds=(max(times) - min(times)).total_seconds() if times else 0.0,
        load_max=max((request.load for request in requests), default=0.0),
    )
