"""`python -m cli.demo`: runs the whole scenario; exits non-zero if any request or part failed."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from cli.demo import stories
from cli.demo.cluster import NoPods, form_of_real_pods
from cli.demo.control_plane import ControlPlane, OneHost, ProcessPerApp
from cli.demo.sandbox import DemoFailed, Sandbox, working_directory
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.state_folder import REPOSITORY
from local_cluster.cluster_folder import Form
from shared.connections.loopback_ports import free_port
from shared.kernel.entropy import SystemEntropy

STATES: Final = REPOSITORY / ".factory"
EXIT_NO_PODS: Final = 10
"""This machine runs no pods: the programs of a cluster are missing, or what nodes need."""
_BUSY: Final = 2.0
"""Runnable programs to a processor from which on a failure says that the machine is busy."""
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WAS_INTERRUPTED: Final = threading.Event()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; leave nothing running unless `--keep` is given; return the exit code."""
    options = _parser().parse_args(arguments)
    # SIGINT too, because a shell starts background jobs with it ignored.
    for number in _ENDS:
        signal.signal(number, _interrupt)
    with working_directory(REPOSITORY):
        count = options.processes_per_app
        control_plane: ControlPlane = ProcessPerApp(count) if count else OneHost()
        state = options.state or STATES / _state_name(options)
        sandbox = Sandbox(state, options.port or free_port(SystemEntropy()), control_plane)
        is_success = False
        try:
            is_success = _run(sandbox, options)
        except NoPods as missing:
            sandbox.print(f"there is no demo on a cluster here: {missing}", "1;31")
            return EXIT_NO_PODS
        except (DemoFailed, Failure) as failed:
            is_said = isinstance(failed, Failure) and failed.exit_code is ExitCode.INTERRUPTED
            # Where pydantic builds a model it makes an error of its own of an interruption.
            if is_said or _WAS_INTERRUPTED.is_set():
                return _interrupted(sandbox)
            _print_failure(sandbox, failed)
            return int(ExitCode.DEFECT)
        except KeyboardInterrupt:
            return _interrupted(sandbox)
        finally:
            # A second Ctrl-C would leave what the first one is about to remove.
            for number in _ENDS:
                signal.signal(number, signal.SIG_IGN)
            if not (options.keep and is_success):
                sandbox.print(f"stopped {sandbox.stop()} processes; nothing is left running")
    return int(ExitCode.OK if is_success else ExitCode.DEFECT)


def _state_name(options: argparse.Namespace) -> str:
    if options.cluster:
        return "demo-aks"
    return "demo-all" if options.all else "demo"


def _run(sandbox: Sandbox, options: argparse.Namespace) -> bool:
    if options.all:
        return stories.whole(sandbox)
    if not options.cluster:
        return stories.on_this_machine(sandbox, is_kept=options.keep)
    form = form_of_real_pods(sandbox, options.form)
    return stories.on_a_cluster(sandbox, form, is_kept=options.keep)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cli.demo", description=__doc__)
    parser.add_argument(
        "--state",
        type=Path,
        help="the demo's own folder, deleted at its beginning"
        " (default: .factory/demo, with --all .factory/demo-all, with --cluster"
        " .factory/demo-aks)",
    )
    parser.add_argument("--port", type=int, default=0, help="of the API (default: any free one)")
    parser.add_argument(
        "--processes-per-app",
        type=int,
        default=0,
        metavar="N",
        help="run each app in N processes over the local cloud, and kill them on the way",
    )
    story = parser.add_mutually_exclusive_group()
    story.add_argument("--all", action="store_true", help="the whole story, about 8 minutes")
    story.add_argument(
        "--cluster",
        action="store_true",
        help=f"the story in pods of a Kubernetes cluster; {EXIT_NO_PODS}: this machine runs none",
    )
    parser.add_argument(
        "--form",
        type=Form,
        choices=[Form.ROOT, Form.ROOTLESS],
        help="of that cluster (default: root as root, else rootless)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the system running at the end")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _WAS_INTERRUPTED.set()
    raise KeyboardInterrupt


def _interrupted(sandbox: Sandbox) -> int:
    sandbox.print()
    sandbox.print("interrupted")
    return int(ExitCode.INTERRUPTED)


def _print_failure(sandbox: Sandbox, failed: DemoFailed | Failure) -> None:
    lines = failed.lines() if isinstance(failed, Failure) else [f"error: {failed}"]
    lines = [*lines, f"the demo failed before its end; see {sandbox.state_folder.host_log}"]
    if busy := words_of_load(os.getloadavg()[1], os.cpu_count() or 1):
        lines.append(busy)
    for line in lines:
        sandbox.print(line, "1;31")


def words_of_load(load: float, processors: int) -> str | None:
    """Return what to say of a machine with so many runnable programs (mean of 5 min), if anything.

    The demo's gates compare latencies, which are the machine's where it has too much to do.
    """
    if load <= _BUSY * processors:
        return None
    return (
        f"this machine is busy: {load:.0f} programs share {processors} processors, and the gates"
        " judge how fast requests are answered; run it again when less else runs"
    )


if __name__ == "__main__":
    sys.exit(main())
