"""The exit codes; `docs/cli.md` has the same table."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Every way a command can end."""

    OK = 0
    """Done, or accepted when `--wait` was not given."""
    DEFECT = 1
    """The system has a defect; the message has the trace id."""
    USAGE = 2
    """The command line, or a file that it names, is invalid; nothing was sent."""
    REFUSED = 3
    """The request cannot be honoured as it stands: invalid, not allowed, or not plannable."""
    NOT_FOUND = 4
    """This tenant has nothing with that id or name."""
    CONFLICT = 5
    """The state does not allow it now: held, in use, or changed since it was read."""
    UNAVAILABLE = 6
    """The system or a dependency does not answer; the same command may work later."""
    ENDED_OTHERWISE = 7
    """The work was accepted and did not succeed: rolled back, failed or canceled."""
    NOT_LOGGED_IN = 8
    """There is no token, or it has expired or is not trusted."""
    STILL_RUNNING = 9
    """`--wait` reached its timeout; the work continues."""
    INTERRUPTED = 130
    """Ctrl-C; accepted work continues."""


def exit_code_of(status: int) -> ExitCode:
    """Return the exit code for an HTTP *status* of 400 and above."""
    match status:
        case 401:
            return ExitCode.NOT_LOGGED_IN
        case 404:
            return ExitCode.NOT_FOUND
        case 409 | 412:
            return ExitCode.CONFLICT
        case 429 | 502 | 503 | 504:
            return ExitCode.UNAVAILABLE
        case _ if status < 500:  # noqa: PLR2004  HTTP
            return ExitCode.REFUSED
        case _:
            return ExitCode.DEFECT
