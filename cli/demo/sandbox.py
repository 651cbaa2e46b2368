"""Where the demo plays: its own folder, commands as a person types them, an end that cleans up.

A command runs in this process, through the same code and with the same words as in a shell; the
line that is printed before it is what one would type.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cli.client import Client
from cli.demo.load_process import Traffic
from cli.exit_codes import ExitCode
from cli.host_process import find_host, kill_host, stop_workloads
from cli.lookup import environment_named
from cli.main import main
from cli.session import Session
from cli.state_folder import STATE_VARIABLE, Place, place_at
from shared.kernel.clock import Clock, SystemClock
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.processes import Identity
from shared.surfaces.local_process.state_files import SurfaceFolder

_BOLD: Final = "1"
_DIM: Final = "2"


class DemoFailed(Exception):
    """An act did not go as it must; the message says what, the demo says where to look."""


class Stage:
    """One run of the demo."""

    def __init__(self, state: Path, port: int, clock: Clock | None = None) -> None:
        self.place: Place = place_at(state)
        self.clock: Clock = clock or SystemClock()
        self.port = port
        self.began_at = self.clock.now()
        self._began_s = self.clock.monotonic_s()
        self.folder = self.place.state / "demo"
        self.traffic = Traffic(self.folder)

    @property
    def session(self) -> Session:
        """A new one each time: the token and the host's address may have changed."""
        return Session(self.place.state, self.clock)

    @property
    def client(self) -> Client:
        return self.session.client

    @property
    def elapsed_s(self) -> float:
        return self.clock.monotonic_s() - self._began_s

    def clear(self) -> None:
        """Stop what an earlier run may have left, and begin with an empty folder."""
        self.stop()
        shutil.rmtree(self.place.state, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.environ[STATE_VARIABLE] = _shown(self.place.state)

    def stop(self) -> int:
        """End the client, the host, every workload and every proxy; return how many processes.

        The host at once: it loses nothing by that, and nobody who pressed Ctrl-C waits for it.
        """
        self.traffic.stop()
        is_running = find_host(self.place) is not None
        if is_running:
            kill_host(self.place, self.clock)
        return stop_workloads(self.place, self.clock) + is_running

    # What is shown

    def act(self, title: str) -> None:
        self.say()
        self.say(f"── {title} " + "─" * max(0, 74 - len(title)), _BOLD)

    def say(self, text: str = "", style: str = "") -> None:
        print(_painted(text, style), flush=True)

    def aside(self, text: str) -> None:
        self.say(text, _DIM)

    # What is done

    def run(self, line: str, *, expect: ExitCode = ExitCode.OK) -> None:
        """Show *line* as it would be typed, and run it.

        Raises:
            DemoFailed: it ended otherwise than expected.
        """
        self.type(f"runtimectl {line}")
        code = main(shlex.split(line))
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if code != expect:
            raise DemoFailed(f"`runtimectl {line}` ended with {code}, expected {int(expect)}")

    def type(self, line: str) -> None:
        """Show a line as it would be typed."""
        self.say()
        self.say(f"$ {line}", _BOLD)

    def ask(self, path: str, **query: str) -> Any:
        """Return what the API answers, for figures that no command shows."""
        return self.client.get(path, query).body

    def environment(self, name: str) -> Any:
        return environment_named(self.client, name)

    def admin_port(self, environment_id: Any) -> int:
        """Return the admin port of an environment's proxy."""
        site = SurfaceFolder(self.place.surface).site(environment_id).site()
        if site is None:
            raise DemoFailed(f"{environment_id} has no site in {self.place.surface}")
        return site.admin_port

    def host_pid(self) -> int:
        host = find_host(self.place)
        if host is None:
            raise DemoFailed("the host does not run")
        return host.pid

    def workloads(self) -> set[Identity]:
        """Return the processes that outlive the host: workloads and proxies, pid and start."""
        claims = self.place.surface.glob("sites/*/**/claim-*")
        found = [processes.read_claim(claim) for claim in claims]
        return {each for each in found if each is not None and processes.is_alive(each)}


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in *folder*, so that paths on the shown lines are short and right."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _painted(text: str, style: str) -> str:
    has_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[{style}m{text}\x1b[0m" if style and has_colour and text else text
