"""`python -m cli.demo`: runs the whole scenario; exits non-zero if any request or part failed."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from cli.demo import report, scenario
from cli.demo.control_plane import ControlPlane, OneHost, ProcessPerApp
from cli.demo.sandbox import DemoFailed, Sandbox, working_directory
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.state_folder import REPOSITORY
from shared.connections.loopback_ports import free_port
from shared.kernel.entropy import SystemEntropy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; leave nothing running unless `--keep` is given; return the exit code."""
    options = _parser().parse_args(arguments)
    # SIGINT too, because a shell starts background jobs with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with working_directory(REPOSITORY):
        count = options.processes_per_app
        control_plane: ControlPlane = ProcessPerApp(count) if count else OneHost()
        sandbox = Sandbox(options.state, options.port or free_port(SystemEntropy()), control_plane)
        is_success = False
        try:
            is_success = run(sandbox, is_kept=options.keep)
        except (DemoFailed, Failure) as failed:
            _print_failure(sandbox, failed)
            return int(ExitCode.DEFECT)
        except KeyboardInterrupt:
            sandbox.print()
            sandbox.print("interrupted")
            return int(ExitCode.INTERRUPTED)
        finally:
            if not (options.keep and is_success):
                sandbox.print(f"stopped {sandbox.stop()} processes; nothing is left running")
    return int(ExitCode.OK if is_success else ExitCode.DEFECT)


def run(sandbox: Sandbox, *, is_kept: bool) -> bool:
    """Run every part; return whether no request failed and no workload was lost."""
    is_warm = (sandbox.state_folder.cache / "wheelhouses").exists()
    sandbox.clear()
    report.print_plan(sandbox, is_warm=is_warm)
    scenario.boot(sandbox)
    scenario.build(sandbox)
    scenario.provision(sandbox)
    scenario.deploy_first(sandbox)
    scenario.start_load(sandbox)
    kill = scenario.promote_and_kill(sandbox)
    scenario.deploy_bad_release(sandbox)
    sandbox.load.stop()
    sandbox.control_plane.stop()
    report.print_timeline(sandbox)
    totals = sandbox.load.totals()
    report.print_totals(sandbox, totals, kill.served_while_dead)
    report.print_next_commands(sandbox, is_kept=is_kept)
    return report.print_verdict(sandbox, totals, kill.lost)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cli.demo", description=__doc__)
    parser.add_argument(
        "--state",
        type=Path,
        default=REPOSITORY / ".factory" / "demo",
        help="the demo's own folder, deleted at its beginning (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=0, help="of the API (default: any free one)")
    parser.add_argument(
        "--processes-per-app",
        type=int,
        default=0,
        metavar="N",
        help="run each app in N processes over the local cloud, and kill them on the way",
    )
    parser.add_argument("--keep", action="store_true", help="leave the system running at the end")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_failure(sandbox: Sandbox, failed: DemoFailed | Failure) -> None:
    lines = failed.lines() if isinstance(failed, Failure) else [f"error: {failed}"]
    for line in [*lines, f"the demo failed before its end; see {sandbox.state_folder.host_log}"]:
        sandbox.print(line, "1;31")


if __name__ == "__main__":
    sys.exit(main())
