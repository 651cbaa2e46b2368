"""`python -m cli.demo`: the whole story; exits non-zero when any request failed or any act did."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from cli.demo import report, scenario
from cli.demo.sandbox import DemoFailed, Stage, in_folder
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.state_folder import REPOSITORY


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the demo; leave nothing running unless asked to; return the exit code."""
    asked = _parser().parse_args(arguments)
    # SIGINT too: a shell starts jobs in the background with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with in_folder(REPOSITORY):
        stage = Stage(asked.state, asked.port or report.free_port())
        is_good = False
        try:
            is_good = play(stage, is_kept=asked.keep)
        except (DemoFailed, Failure) as failed:
            _say_failed(stage, failed)
            return int(ExitCode.DEFECT)
        except KeyboardInterrupt:
            stage.say()
            stage.say("interrupted")
            return int(ExitCode.INTERRUPTED)
        finally:
            if not (asked.keep and is_good):
                stage.say(f"stopped {stage.stop()} processes; nothing is left running")
    return int(ExitCode.OK if is_good else ExitCode.DEFECT)


def play(stage: Stage, *, is_kept: bool) -> bool:
    """Play every act; return whether no request failed."""
    is_warm = (stage.place.cache / "wheelhouses").exists()
    stage.clear()
    report.plan(stage, is_warm=is_warm)
    scenario.boot(stage)
    scenario.build(stage)
    scenario.provision(stage)
    scenario.deploy_first(stage)
    scenario.send_traffic(stage)
    kill = scenario.promote_and_kill(stage)
    scenario.ship_bad_release(stage)
    stage.traffic.stop()
    report.timeline(stage)
    is_good = report.totals(stage, stage.traffic.totals(), kill.served_while_dead)
    report.farewell(stage, is_kept=is_kept)
    return is_good and not kill.lost


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cli.demo", description=__doc__)
    parser.add_argument(
        "--state",
        type=Path,
        default=REPOSITORY / ".factory" / "demo",
        help="the demo's own folder, removed at its beginning (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=0, help="of the API (default: any free one)")
    parser.add_argument("--keep", action="store_true", help="leave the system running at the end")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_failed(stage: Stage, failed: DemoFailed | Failure) -> None:
    lines = failed.lines() if isinstance(failed, Failure) else [f"error: {failed}"]
    for line in lines:
        stage.say(line, "1;31")
    stage.say(f"the demo did not get to its end; see {stage.place.host_log}", "1;31")


if __name__ == "__main__":
    sys.exit(main())
