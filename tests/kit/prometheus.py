"""A real Prometheus, unpacked from Debian's package by `make test`, with an hour of known history.

The history is written as blocks by promtool, so no test waits for a scrape; besides, it scrapes
itself every second. One serves a whole session.
"""

import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from shared.connections.loopback_ports import free_port
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy

_UNPACKED: Final = Path(__file__).parents[2] / ".tools/prometheus/usr/bin"
_READY_S: Final = 30.0
SCRAPE: Final = timedelta(seconds=15)
LENGTH: Final = timedelta(minutes=60)
BOUNDS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(frozen=True)
class History:
    """What is known of the hour from `began_at`; every rate is of one second.

    Revision 1 and 2 of module-web serve 10 requests each, of 40 ms; of revision 2 one in 1,000
    fails until `turns_bad_at`, then one in 2. `module-ended` ends and `module-gap` is not measured
    for five minutes, both at half-time. `odd{kind}` has what is no number.
    """

    url: str
    began_at: datetime

    @property
    def half_at(self) -> datetime:
        return self.began_at + LENGTH / 2

    @property
    def turns_bad_at(self) -> datetime:
        return self.began_at + LENGTH * 3 / 4


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("prometheus")
    now = SystemClock().now().replace(microsecond=0)
    history = History(f"http://127.0.0.1:{free_port(SystemEntropy())}", now - LENGTH - SCRAPE * 8)
    (folder / "history.om").write_text(_open_metrics(history))
    subprocess.run(
        [_program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.om", "data"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    address = history.url.removeprefix("http://")
    with _serving(folder, address, scraped=address):
        yield history


@contextmanager
def scraping(folder: Path, scraped: str) -> Iterator[str]:
    """Yield the URL of a Prometheus that asks *scraped*, `host:port`, every second."""
    address = f"127.0.0.1:{free_port(SystemEntropy())}"
    with _serving(folder, address, scraped):
        yield f"http://{address}"


@contextmanager
def _serving(folder: Path, address: str, scraped: str) -> Iterator[None]:
    """Have one at *address* with what *folder* has in `data`."""
    (folder / "prometheus.yml").write_text(
        "scrape_configs: [{job_name: test, scrape_interval: 1s,"
        f' static_configs: [{{targets: ["{scraped}"]}}]}}]\n'
    )
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [_program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
         "--storage.tsdb.retention.time=10d", f"--web.listen-address={address}"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        _await_ready(process, f"http://{address}", folder / "log")
        yield
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _program(name: str) -> str:
    unpacked = _UNPACKED / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}, and no apt-get to bring it to this machine: see Makefile")
    return found


def _await_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + _READY_S
    while True:
        assert process.poll() is None, log.read_text()
        assert clock.monotonic_s() < give_up_at_s, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass


def _open_metrics(history: History) -> str:
    times = [history.began_at + SCRAPE * step for step in range(int(LENGTH / SCRAPE) + 1)]
    half, gap = history.half_at, history.half_at + timedelta(minutes=5)
    lines = ["# TYPE http_requests counter"]
    for revision in ("1", "2"):
        lines += _served(history, times, revision, "200")
        lines += _served(history, times, revision, "500")
    lines += _counter('module="module-ended",revision="1"', [t for t in times if t < half], history)
    kept = [t for t in times if not half <= t < gap]
    lines += _counter('module="module-gap",revision="1"', kept, history)
    lines += ["# TYPE http_request_duration_seconds histogram"]
    for revision in ("1", "2"):
        lines += _durations(history, times, revision)
    lines += ["# TYPE odd gauge"]
    for kind, text in (("nan", "NaN"), ("infinite", "+Inf"), ("negative", "-1")):
        lines += [f'odd{{kind="{kind}"}} {text} {t.timestamp():.0f}' for t in times]
    return "\n".join([*lines, "# EOF", ""])


def _served(history: History, times: Sequence[datetime], revision: str, code: str) -> Iterator[str]:
    for t in times:
        all_s = (t - history.began_at).total_seconds()
        bad_s = max(0.0, (t - history.turns_bad_at).total_seconds())
        failed = 0.0
        if revision == "2":
            failed = (all_s - bad_s) * 0.01 + bad_s * 5
        count = failed if code == "500" else all_s * 10 - failed
        labels = f'module="module-web",revision="{revision}",code="{code}"'
        yield f"http_requests_total{{{labels}}} {count:.2f} {t.timestamp():.0f}"


def _counter(labels: str, times: Sequence[datetime], history: History) -> Iterator[str]:
    for t in times:
        count = (t - history.began_at).total_seconds() * 10
        yield f"http_requests_total{{{labels}}} {count:.2f} {t.timestamp():.0f}"


def _durations(history: History, times: Sequence[datetime], revision: str) -> Iterator[str]:
    for t in times:
        count = (t - history.began_at).total_seconds() * 10
        labels = f'module="module-web",revision="{revision}"'
        name, at = "http_request_duration_seconds", f"{t.timestamp():.0f}"
        for bound in (*BOUNDS_S, "+Inf"):
            within = count if bound == "+Inf" or float(bound) >= 0.05 else 0.0
            yield f'{name}_bucket{{{labels},le="{bound}"}} {within:.1f} {at}'
        yield f"{name}_count{{{labels}}} {count:.1f} {at}"
        yield f"{name}_sum{{{labels}}} {count * 0.04:.1f} {at}"
