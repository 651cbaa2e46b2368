"""The whole system as processes of this machine: one host on a state folder, killed and restarted.

A client of its API may ask again while the host is away; the client of the workload never does.
"""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import psutil

from cli.client import Client, HostUnreachable
from cli.failure import Failure
from local_agent.process_identity import ProcessIdentity, machine_processes
from local_agent.shutdown import running_processes, stop_agent, stop_everything
from shared.connections import loopback_ports
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.patience import PATIENCE_S

REPOSITORY = Path(__file__).parents[2]
ALIVE = "/v1/platform/environments/alive"
_ANSWER_S: Final = 30.0


def free_port() -> int:
    return loopback_ports.free_port(SystemEntropy())


class RealSystem:
    """Host, its state folder and its API. `port` stays the same over restarts."""

    def __init__(self, state: Path, *apps: Path) -> None:
        self.state = state
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._apps = apps or (REPOSITORY,)
        self._host: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.state / "host.log").read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        assert self._host is not None
        return self._host.pid

    @property
    def is_running(self) -> bool:
        return self._host is not None and self._host.poll() is None

    def start(self) -> None:
        """Start a host and come back at once."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "host.log").open("ab") as log:
            self._host = subprocess.Popen(
                [
                    sys.executable, "-m", "local_host", *map(str, self._apps),
                    "--port", str(self.port), "--state", str(self.state), "--auth",
                ],
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={
                    **os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1",
                    "RUNTIME_PROFILE": "local",
                },
            )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it meanwhile; afterwards nothing of it does."""
        self.start()
        try:
            self.until_ready()
            yield
        finally:
            if self.is_running:
                self.kill()
            _stop_workloads(self.state)

    def kill(self) -> set[ProcessIdentity]:
        """End the host as a crash does; return the workload processes it had in that instant."""
        assert self._host is not None
        # Stopped first, so that what is counted is what it leaves behind.
        os.kill(self._host.pid, signal.SIGSTOP)
        running = self.workloads()
        self._host.kill()
        self._host.wait()
        return running

    def stop(self) -> int:
        """Ask the host to stop; return its exit code."""
        assert self._host is not None
        self._host.terminate()
        return self._host.wait(PATIENCE_S)

    def down(self) -> None:
        """Stop the host and everything that it runs, as `runtimectl down` does."""
        self.stop()
        _stop_workloads(self.state)

    def workloads(self) -> set[ProcessIdentity]:
        """Return the processes of workloads and proxies that live, by their claims."""
        return set(running_processes(self.state / "surface"))

    def strangers(self) -> list[str]:
        """Return the command lines of processes that still work below the state folder."""
        found = []
        for process in machine_processes():
            with suppress(psutil.Error):
                where = [*process.cmdline(), process.cwd()]
                if any(str(self.state) in each for each in where):
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
        return found

    def client(self, tenant: str = "tenant-dev") -> Client:
        return Client(self.url, self._issuer.token(tenant, "ann", ("Runtime.Admin",)))

    def workload_token(self, tenant: str, environment_id: str, module_id: str) -> str:
        return self._issuer.workload_token(tenant, environment_id, module_id)

    @property
    def _issuer(self) -> LocalIssuer:
        folder = self.state / "issuer"
        return LocalIssuer(folder, DEV_ISSUER, AUDIENCE, SystemClock(), SystemEntropy())

    def until(self, holds: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
        """Return the first true result of *holds*, over restarts of the host, or fail."""
        give_up_at = time.monotonic() + within_s
        while True:
            with suppress(HostUnreachable):
                if found := holds():
                    return found
            assert time.monotonic() < give_up_at, f"not within {within_s} s\n{self.log[-3000:]}"
            threading.Event().wait(0.1)

    def until_ready(self) -> None:
        client = Client(self.url, None)
        self.until(lambda: client.get(ALIVE))
        client.close()


def bound_secret(system: RealSystem, client: Client, body: Mapping[str, Any]) -> str:
    """Bind a secret as *body* says, once secret-bindings knows the environment; return its id."""

    def asked() -> str | None:
        try:
            made = client.write("POST", "/v1/runtime/secret-bindings", body)
        except Failure as refused:
            if refused.code != "EnvironmentNotProvisioned":
                raise
            return None
        return str(made.body["bindingId"])

    return str(system.until(asked))


def _stop_workloads(state: Path) -> None:
    asyncio.run(stop_agent(state, SystemClock()))
    asyncio.run(stop_everything(state / "surface", SystemClock()))


@contextmanager
def real_system(state: Path, *apps: Path) -> Iterator[RealSystem]:
    """Have a system that runs; afterwards nothing of it does."""
    system = RealSystem(state, *apps)
    with system.running():
        yield system


class SteadyClient:
    """Sends so many requests a second over kept connections; asks for nothing twice.

    `failed` says how each request ended that got no answer within `_ANSWER_S`, or a 5xx.
    """

    def __init__(self, url: str, *, rate: float, threads: int = 4) -> None:
        host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
        self._address = (host, int(port))
        self._every_s = threads / rate
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(threads)]
        self.failed: list[str] = []
        self.served: dict[str, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with closing(http.client.HTTPConnection(*self._address, timeout=_ANSWER_S)) as connection:
            self._send_over(connection)

    def _send_over(self, connection: http.client.HTTPConnection) -> None:
        due_s = time.monotonic()
        while not self._ends.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + self._every_s, time.monotonic() - 1)
            began = time.strftime("%H:%M:%S")
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                said = answer.read().decode()
            except (OSError, http.client.HTTPException) as problem:
                connection.close()
                self._failed(f"{began} {type(problem).__name__}: {problem}")
                continue
            if answer.status >= 500:
                self._failed(f"{began} {answer.status} {said[:100]}")
                continue
            with self._lock:
                self.served[said] = self.served.get(said, 0) + 1

    def _failed(self, how: str) -> None:
        with self._lock:
            self.failed.append(how)
