"""Watches a resource until its work is over: its lines, a host that restarts, time, and Ctrl-C."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.options import Invocation
from cli.progress_display import Line, open_display

_POLL_INTERVAL_S: Final = 0.5
_AWAY: Final = Line("away", "the host does not answer; waiting for it", "yellow", is_final=False)


def watch_resource(
    invocation: Invocation,
    read: Callable[[], Any],
    lines: Callable[[Any], Sequence[Line]],
    is_over: Callable[[Any], bool],
    *,
    subject: str,
    not_yet: str,
    again: str,
    timeout_s: float,
) -> Any:
    """Show the *lines* of what *read* returns until it *is_over*, and return it.

    While the host does not answer, its restart is waited for. *again* goes on watching.

    Raises:
        Failure: *is_over* says that it failed; *subject* is *not_yet* there after *timeout_s*, or
            Ctrl-C: it continues in the last two.
    """
    clock = invocation.session.clock
    until_s = clock.monotonic_s() + timeout_s
    stream = sys.stdout if invocation.is_table else sys.stderr
    try:
        with open_display(clock, stream) as display:
            seen: Sequence[Line] = ()
            while True:
                resource = _if_there(read)
                if resource is None:
                    display.show([*seen, _AWAY])
                else:
                    seen = lines(resource)
                    display.show(seen)
                    if is_over(resource):
                        return resource
                if clock.monotonic_s() > until_s:
                    raise Failure(
                        f"{subject} {not_yet} within {timeout_s:.0f} s; it continues",
                        ExitCode.STILL_RUNNING,
                        remedy=f"go on watching: `{again}`",
                    )
                pause(clock, _POLL_INTERVAL_S)
    except KeyboardInterrupt as interrupt:
        raise Failure(
            f"stopped watching {subject}; it continues",
            ExitCode.INTERRUPTED,
            remedy=f"go on watching: `{again}`",
        ) from interrupt


def _if_there(read: Callable[[], Any]) -> Any:
    """Return what *read* returns; None while the host does not answer."""
    try:
        return read()
    except Failure as failure:
        if failure.exit_code is not ExitCode.UNAVAILABLE:
            raise
        return None
