"""Follows an operation to its end: long polls, its steps, and a host that is away for a while."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.output import Format
from cli.progress_display import Line, Screen, open_screen
from cli.session import Session

TERMINAL: Final = frozenset({"Succeeded", "Failed", "Canceled"})
_WAIT_S: Final = 20
_AWAY_EVERY_S: Final = 0.2
Operation = Mapping[str, Any]
_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "Succeeded": ("✓", "green"),
    "Failed": ("✗", "red"),
    "Canceled": ("-", "yellow"),
}


def follow(
    session: Session,
    operation_id: str,
    screen: Screen,
    *,
    timeout_s: float,
    picture: Callable[[Operation], Sequence[Line]] | None = None,
    look_every_s: float | None = None,
) -> Operation:
    """Return the operation when it has ended; show it until then.

    A host that does not answer is waited for: what it does goes on when it is back. With
    *look_every_s* the picture is drawn again that often instead of when the operation changed.

    Raises:
        Failure: it has not ended within *timeout_s*, or Ctrl-C; it goes on in both cases.
    """
    draw = picture or operation_lines
    deadline_s = session.clock.monotonic_s() + timeout_s
    etag: str | None = None
    last: Operation = {}
    try:
        while True:
            last, etag = _look(session, operation_id, screen, last, etag, look_every_s)
            if last:
                screen.show(draw(last))
            if last.get("status") in TERMINAL:
                return last
            if session.clock.monotonic_s() > deadline_s:
                raise Failure(
                    f"{operation_id} has not ended within {timeout_s:.0f} s; it goes on",
                    ExitCode.STILL_RUNNING,
                    fix=f"watch it: `runtimectl operations show {operation_id} --wait`",
                )
            if look_every_s is not None:
                pause(session.clock, look_every_s)
    except KeyboardInterrupt as stopped:
        raise Failure(
            f"stopped watching {operation_id}; it goes on",
            ExitCode.INTERRUPTED,
            fix=f"watch it: `runtimectl operations show {operation_id} --wait`, "
            f"or stop it: `runtimectl operations cancel {operation_id}`",
        ) from stopped


def _look(
    session: Session,
    operation_id: str,
    screen: Screen,
    last: Operation,
    etag: str | None,
    look_every_s: float | None,
) -> tuple[Operation, str | None]:
    wait = None if look_every_s is not None else str(_WAIT_S)
    try:
        reply = session.client.get(
            f"/v1/runtime/operations/{operation_id}", {"wait": wait}, etag=etag
        )
    except Failure as unseen:
        if unseen.exit_code is not ExitCode.UNAVAILABLE:
            raise
        screen.show(
            [*operation_lines(last), Line("away", "the host does not answer; waiting", "yellow")]
        )
        pause(session.clock, _AWAY_EVERY_S)
        return last, etag
    if reply.is_unchanged:
        return last, etag
    return reply.body, reply.etag


def operation_lines(operation: Operation) -> list[Line]:
    """Return an operation as lines: its steps, what it waits for, and how it ended."""
    lines = [_step_line(at, step) for at, step in enumerate(operation.get("steps", ()))]
    if waiting := operation.get("waitingFor"):
        lines.append(Line("waiting", f"… waiting for {waiting}", "yellow", settled=False))
    if operation.get("status") in TERMINAL:
        lines.append(_end_line(operation))
    return lines


def require_success(operation: Operation, what: str) -> None:
    """Raise the failure that an operation ended with, unless it succeeded."""
    if operation["status"] == "Succeeded":
        return
    error = operation.get("error") or {}
    reason = error.get("message") or "nobody said why"
    raise Failure(
        f"{what} ended as {operation['status']}: {reason}",
        ExitCode.ENDED_OTHERWISE,
        code=error.get("code", ""),
    )


def wait_for(
    session: Session, operation_id: str, what: str, timeout_s: float, form: Format
) -> Operation:
    """Return the operation when it has succeeded; its steps are shown until then.

    Raises:
        Failure: it ended otherwise, or not in time.
    """
    stream = sys.stdout if form is Format.TABLE else sys.stderr
    with open_screen(session.clock, stream) as screen:
        operation = follow(session, operation_id, screen, timeout_s=timeout_s)
    require_success(operation, what)
    return operation


def _step_line(at: int, step: Mapping[str, Any]) -> Line:
    mark, style = _MARKS.get(step["state"], ("…", ""))
    text = f"{mark} {step['name']}"
    if message := step.get("message"):
        text += f"  {message}"
    return Line(f"step-{at}", text, style, settled=step["state"] in TERMINAL)


def _end_line(operation: Operation) -> Line:
    mark, style = _MARKS[operation["status"]]
    error = operation.get("error") or {}
    why = f": {error.get('code', '')} {error.get('message', '')}" if error else ""
    return Line("end", f"{mark} {operation['kind']} {operation['status']}{why}", style)
