"""The demo's own system: a folder, commands as a person types them, and a complete cleanup.

A command runs in this process, by the same code as in a shell; the line printed before it is the
one to type.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cli.client import Client
from cli.cloud_process import stop_cloud
from cli.cluster_process import stop_cluster
from cli.demo.control_plane import ControlPlane, OneHost
from cli.demo.load_process import LoadProcess
from cli.exit_codes import ExitCode
from cli.host_process import (
    find_host,
    find_process,
    kill_control_plane,
    processes_per_app,
    stop_workloads,
)
from cli.lookup import find_environment
from cli.main import main
from cli.output import plain
from cli.session import Session
from cli.state_folder import StateFolder, state_folder_at
from cli.typed import STATE_VARIABLE
from local_agent.agent_lock import read_owner
from local_agent.observation import StartedProcess, live_instances
from local_agent.process_identity import ProcessIdentity
from local_agent.shutdown import running_processes
from local_agent.state_files import SurfaceFolder
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.ids import ServiceId

_BOLD: Final = "1"


class DemoFailed(Exception):
    """A part of the demo had another result than it must have; the message says which."""


class Sandbox:
    """One run of the demo."""

    def __init__(
        self,
        state: Path,
        port: int,
        control_plane: ControlPlane | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.state_folder: StateFolder = state_folder_at(state)
        self.clock: Clock = clock or SystemClock()
        self.port = port
        self.control_plane: ControlPlane = control_plane or OneHost()
        self._started_s = self.clock.monotonic_s()
        self.folder = self.state_folder.path / "demo"
        self.load = LoadProcess(self.folder)
        self.second_load = LoadProcess(self.folder / "second")
        """Of a story with two entries."""

    @property
    def session(self) -> Session:
        """A new session, because the token and the host's address may have changed."""
        return Session(self.state_folder.path, self.clock)

    @property
    def client(self) -> Client:
        return self.session.client

    @property
    def elapsed_s(self) -> float:
        return self.clock.monotonic_s() - self._started_s

    def clear(self) -> None:
        """Stop an earlier run, and begin with an empty folder."""
        self.stop()
        shutil.rmtree(self.state_folder.path, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.environ[STATE_VARIABLE] = os.path.relpath(self.state_folder.path)

    def stop(self) -> int:
        """End the load, the host, the cluster, every workload and every proxy.

        Returns the number of processes, with the cluster as one. The host is killed: it loses
        nothing by that, and Ctrl-C takes effect at once.
        """
        for load in (self.load, self.second_load):
            load.stop()
        self.control_plane.stop()
        is_running = find_process(self.state_folder) is not None
        if is_running:
            kill_control_plane(self.state_folder, self.clock)
        if processes_per_app(self.state_folder):
            stop_cloud(self.state_folder, self.clock)
        stopped = stop_workloads(self.state_folder, self.clock) + is_running
        if self.state_folder.cluster.is_dir():
            stopped += stop_cluster(self.state_folder, self.clock) is not None
        return stopped

    def print(self, text: str = "", style: str = "") -> None:
        print(_styled(plain(text), style), flush=True)

    def print_title(self, title: str) -> None:
        self.print()
        self.print(f"── {title} " + "─" * max(0, 74 - len(title)), _BOLD)

    def print_command(self, line: str) -> None:
        """Print *line* as it is typed in a shell."""
        self.print()
        self.print(f"$ {line}", _BOLD)

    def run(self, line: str, *, expect: ExitCode = ExitCode.OK) -> None:
        """Print the command *line* and run it.

        Raises:
            DemoFailed: it ended with another exit code.
        """
        self.print_command(f"runtimectl {line}")
        code = main(shlex.split(line))
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if code != expect:
            raise DemoFailed(f"`runtimectl {line}` ended with {code}, expected {int(expect)}")

    def get(self, path: str, **query: str) -> Any:
        """Return a resource of the API, for figures that no command shows."""
        return self.client.get(path, query).body

    def environment(self, name: str) -> Any:
        return find_environment(self.client, name)

    def proxy_folder(self, environment_id: Any) -> Path:
        """Return the folder of an environment's proxy, in which its admin socket is."""
        return SurfaceFolder(self.state_folder.surface.resolve()).site(environment_id).edge

    def live_processes(self, environment_id: Any, service: str) -> Sequence[StartedProcess]:
        """Return the processes of a service that have traffic, with their instances' folders."""
        site = SurfaceFolder(self.state_folder.surface.resolve()).site(environment_id)
        desired = site.component(ServiceId(service))
        if desired is None:
            return []
        live = live_instances(site, desired)
        return [started for record, started in live if desired.weights.get(record.revision)]

    def host_pid(self) -> int:
        host = find_host(self.state_folder)
        if host is None:
            raise DemoFailed("the host does not run")
        return host.pid

    def agent_pid(self) -> int:
        pid = read_owner(self.state_folder.path)
        if pid is None:
            raise DemoFailed("the agent does not run")
        return pid

    def workloads(self) -> set[ProcessIdentity]:
        """Return the processes that outlive host and agent: workloads and proxies."""
        return set(running_processes(self.state_folder.surface))


@contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Change to *folder*, so that paths in printed lines are short and valid."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _styled(text: str, style: str) -> str:
    has_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[{style}m{text}\x1b[0m" if style and has_colour and text else text
