"""The client as the demo sees it: a process of its own, and what it wrote of each request."""

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

from cli.demo.proxy_counters import Seen, read_seen
from cli.state_folder import REPOSITORY
from shared.kernel.clock import parse_instant

RATE: Final = 60
"""Requests a second: an application of this size on two cores serves a few hundred."""
_ENDS_WITHIN_S: Final = 15


@dataclass(frozen=True)
class Asked:
    """One request and how it ended; `failed` is empty when it was answered in time."""

    at: datetime
    took_ms: float
    status: int
    release: str
    failed: str


@dataclass(frozen=True)
class Totals:
    """All requests of the client; `failed` says how each of those ended."""

    served: int
    failed: Sequence[str]
    releases: Counter[str]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slowest_ms: float
    seconds: float

    @property
    def rate(self) -> float:
        return (self.served + len(self.failed)) / self.seconds if self.seconds else 0.0


class Traffic:
    """Starts and stops the client, and reads what it wrote."""

    def __init__(self, folder: Path) -> None:
        self._requests = folder / "requests.jsonl"
        self._proxy = folder / "proxy.json"
        self._log = folder / "client.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, url: str, admin_port: int, service: str) -> int:
        """Send from now on; return the client's pid."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                [
                    sys.executable, "-m", "cli.demo.load_generator", url, str(RATE),
                    str(self._requests), str(admin_port), service, str(self._proxy),
                ],
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self._process.pid

    @property
    def is_sending(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Let it end after its last answer; insist after a while."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.kill(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def asked(self) -> list[Asked]:
        """Return every request that has ended."""
        try:
            lines = self._requests.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        # The last piece is empty, or a line that is still being written.
        told = [json.loads(line) for line in lines[:-1]]
        return [
            Asked(parse_instant(it["at"]), it["ms"], it["status"], it["release"], it["failed"])
            for it in told
        ]

    def proxy(self) -> Seen:
        return read_seen(self._proxy)

    def totals(self) -> Totals:
        return totals_of(self.asked())


def totals_of(asked: Sequence[Asked]) -> Totals:
    """Return the sums of *asked*."""
    times = sorted(one.took_ms for one in asked) or [0.0]
    p50, p95, p99 = (times[min(len(times) - 1, int(len(times) * at))] for at in (0.5, 0.95, 0.99))
    served = [one for one in asked if not one.failed]
    instants = [one.at for one in asked]
    span = (max(instants) - min(instants)).total_seconds() if instants else 0.0
    return Totals(
        served=len(served),
        failed=[f"{one.at.time()} {one.failed}" for one in asked if one.failed],
        releases=Counter(one.release for one in served if one.release),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        slowest_ms=times[-1],
        seconds=span,
    )
