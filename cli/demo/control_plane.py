"""What the demo kills, and how it runs again: one host, or processes of each app."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from cli.failure import Failure
from cli.host_process import kill_control_plane, pause
from cli.host_start import INSTANCES

if TYPE_CHECKING:
    from cli.demo.sandbox import Sandbox

DEAD_FOR_S: Final = 3.0
KILL_EVERY_S: Final = 5.0


class ControlPlane(Protocol):
    """How the platform's own processes are started, killed and started again."""

    @property
    def up_options(self) -> str:
        """Return what stands behind `up`, with a space before it."""
        ...

    @property
    def killed_on_the_way(self) -> str:
        """Return what is killed in the middle of a rollout, as the plan says it."""
        ...

    @property
    def extra_s(self) -> tuple[int, int]:
        """Return what a run takes longer than with one host: at its boot, and in all."""
        ...

    def kill(self, sandbox: "Sandbox") -> str:
        """Kill all at once; return the ids, separated by spaces."""
        ...

    def restart(self, sandbox: "Sandbox") -> None:
        """Let them run again."""
        ...

    def stop(self) -> None:
        """End what this object itself runs."""
        ...

    def summary(self) -> str:
        """Return what was killed on the way besides, as a sentence; empty where nothing was."""
        ...


class OneHost:
    """One host of all apps, and the agent."""

    up_options = ""
    killed_on_the_way = "the host and the agent are killed"
    extra_s = (0, 0)

    def kill(self, sandbox: "Sandbox") -> str:
        pids = f"{sandbox.host_pid()} {sandbox.agent_pid()}"
        kill_control_plane(sandbox.state_folder, sandbox.clock)
        return pids

    def restart(self, sandbox: "Sandbox") -> None:
        pause(sandbox.clock, DEAD_FOR_S)
        sandbox.print("neither runs; traffic goes on")
        sandbox.run(f"up --port {sandbox.port}")

    def stop(self) -> None:
        """Do nothing: nothing runs here."""

    def summary(self) -> str:
        return ""


@dataclass
class ProcessPerApp:
    """*count* processes of each app behind a front end, which starts them again, and the agent."""

    count: int
    killed: list[str] = field(default_factory=list)
    """Names of the instances that were killed one by one."""
    _ends: threading.Event = field(default_factory=threading.Event)
    _killer: threading.Thread | None = None

    @property
    def up_options(self) -> str:
        return f" --processes-per-app {self.count}"

    @property
    def killed_on_the_way(self) -> str:
        return "every host process and the agent are killed"

    @property
    def extra_s(self) -> tuple[int, int]:
        # Measured on 2 cores at a load average of 7 to 12.
        return 10, 70

    def kill(self, sandbox: "Sandbox") -> str:
        pids = [*(each["pid"] for each in _instances(sandbox)), sandbox.agent_pid()]
        for pid in pids:
            _kill(pid)
        return " ".join(map(str, pids))

    def restart(self, sandbox: "Sandbox") -> None:
        sandbox.print("every host process is dead, and the agent: the front end starts them again")
        self._ends.clear()
        self._killer = threading.Thread(target=self._kill_one_by_one, args=(sandbox,), daemon=True)
        self._killer.start()

    def _kill_one_by_one(self, sandbox: "Sandbox") -> None:
        """Kill an instance of each app in turn, while another one of it is ready."""
        while not self._ends.wait(KILL_EVERY_S):
            with suppress(Failure):
                ready = [each for each in _instances(sandbox) if each["isReady"]]
                spare = [each for each in ready if _is_doubled(each, ready)]
                if spare:
                    chosen = spare[len(self.killed) % len(spare)]
                    _kill(chosen["pid"])
                    self.killed.append(chosen["name"])

    def stop(self) -> None:
        self._ends.set()
        if self._killer is not None:
            self._killer.join()

    def summary(self) -> str:
        names = ", ".join(f"{name} {count}" for name, count in sorted(Counter(self.killed).items()))
        return f"{len(self.killed)} host processes besides, one by one ({names})"


def _instances(sandbox: "Sandbox") -> Sequence[Mapping[str, Any]]:
    listed: Sequence[Mapping[str, Any]] = sandbox.get(INSTANCES)["value"]
    return listed


def _is_doubled(instance: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
    return len([each for each in others if each["app"] == instance["app"]]) > 1


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
