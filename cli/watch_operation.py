"""Watches an operation to its end: long polls, its steps, and restarts of the host."""

import sys
from collections.abc import Mapping
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.output import Format
from cli.progress_display import Line, ProgressDisplay, open_display
from cli.session import Session

Operation = Mapping[str, Any]
_LONG_POLL_S: Final = 20
_RETRY_INTERVAL_S: Final = 0.2
_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "Succeeded": ("✓", "green"),
    "Failed": ("✗", "red"),
    "Canceled": ("-", "yellow"),
}
TERMINAL: Final = frozenset(_MARKS)


def watch_operation(
    session: Session, operation_id: str, display: ProgressDisplay, *, timeout_s: float
) -> Operation:
    """Show the operation until it has ended, and return it.

    While the host does not answer, its restart is waited for.

    Raises:
        Failure: *timeout_s* has passed, or Ctrl-C; the operation continues in both cases.
    """
    deadline_s = session.clock.monotonic_s() + timeout_s
    etag: str | None = None
    operation: Operation = {}
    try:
        while True:
            operation, etag = _poll(session, operation_id, display, operation, etag)
            if operation:
                display.show(operation_lines(operation))
            if operation.get("status") in TERMINAL:
                return operation
            if session.clock.monotonic_s() > deadline_s:
                raise Failure(
                    f"{operation_id} has not ended within {timeout_s:.0f} s; it continues",
                    ExitCode.STILL_RUNNING,
                    remedy=f"watch it: `runtimectl operations show {operation_id} --wait`",
                )
    except KeyboardInterrupt as interrupt:
        raise Failure(
            f"stopped watching {operation_id}; it continues",
            ExitCode.INTERRUPTED,
            remedy=f"watch it: `runtimectl operations show {operation_id} --wait`, "
            f"or stop it: `runtimectl operations cancel {operation_id}`",
        ) from interrupt


def _poll(
    session: Session,
    operation_id: str,
    display: ProgressDisplay,
    last: Operation,
    etag: str | None,
) -> tuple[Operation, str | None]:
    path, query = f"/v1/runtime/operations/{operation_id}", {"wait": str(_LONG_POLL_S)}
    try:
        response = session.client.get(path, query, etag=etag)
    except Failure as failure:
        if failure.exit_code is not ExitCode.UNAVAILABLE:
            raise
        waiting = Line("away", "the host does not answer; waiting for it", "yellow")
        display.show([*operation_lines(last), waiting])
        pause(session.clock, _RETRY_INTERVAL_S)
        return last, etag
    if response.is_unchanged:
        return last, etag
    return response.body, response.etag


def operation_lines(operation: Operation) -> list[Line]:
    """Return an operation as lines: its steps, its wait reason and its end."""
    lines = [_step_line(index, step) for index, step in enumerate(operation.get("steps", ()))]
    if reason := operation.get("waitingFor"):
        lines.append(Line("waiting", f"… waiting for {reason}", "yellow", is_final=False))
    if outage := operation.get("outage"):
        lines.append(outage_line(outage))
    if operation.get("status") in TERMINAL:
        lines.append(_end_line(operation))
    return lines


def outage_line(outage: str) -> Line:
    """Return the line of what an operation has found away, and tries again by itself."""
    return Line("outage", f"… tries again: {outage}", "yellow", is_final=False)


def require_success(operation: Operation, title: str) -> None:
    """Raise the error of an operation that did not succeed."""
    status = operation["status"]
    if status == "Succeeded":
        return
    error = operation.get("error") or {}
    reason = error.get("message") or "no reason was given"
    raise Failure(
        f"{title} ended as {status}: {reason}",
        ExitCode.ENDED_OTHERWISE,
        code=error.get("code", ""),
    )


def wait_for_success(
    session: Session, operation_id: str, title: str, timeout_s: float, form: Format
) -> None:
    """Show the operation until it has succeeded.

    Raises:
        Failure: it ended otherwise, or not in time.
    """
    require_success(wait_for_end(session, operation_id, timeout_s, form), title)


def wait_for_end(session: Session, operation_id: str, timeout_s: float, form: Format) -> Operation:
    """Show the operation until it has ended in any way, and return it.

    Raises:
        Failure: it did not end in time.
    """
    stream = sys.stdout if form is Format.TABLE else sys.stderr
    with open_display(session.clock, stream) as display:
        return watch_operation(session, operation_id, display, timeout_s=timeout_s)


def _step_line(index: int, step: Mapping[str, Any]) -> Line:
    mark, style = _MARKS.get(step["state"], ("…", ""))
    text = f"{mark} {step['name']}"
    if message := step.get("message"):
        text += f"  {message}"
    return Line(f"step-{index}", text, style, is_final=step["state"] in TERMINAL)


def _end_line(operation: Operation) -> Line:
    status = operation["status"]
    mark, style = _MARKS[status]
    error = operation.get("error") or {}
    reason = f": {error.get('code', '')} {error.get('message', '')}" if error else ""
    return Line("end", f"{mark} {operation['kind']} {status}{reason}", style)
