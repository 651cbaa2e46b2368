"""Entry point of `runtimectl`: the tree of commands, and failures as message, fix and exit code."""

import sys
from collections.abc import Sequence

import typer

from cli.commands import environments, events, operations, parked, system
from cli.exit_codes import ExitCode
from cli.failure import Failure

_EPILOG = (
    "Exit codes: 0 ok, 1 our defect, 2 usage, 3 refused, 4 not found, 5 conflict or held, "
    "6 unavailable, 7 ended otherwise (rolled back, failed), 8 not logged in, 9 still running."
)
app = typer.Typer(
    name="runtimectl",
    help="Environments, releases and their health, from the command line.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(system.up)
app.command()(system.down)
app.command()(system.login)
app.add_typer(environments.app, name="env")
app.add_typer(operations.app, name="operations")
app.command()(events.events)
app.add_typer(parked.app, name="parked")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="runtimectl")
    except Failure as failure:
        print("\n".join(failure.lines()), file=sys.stderr)
        return int(failure.exit_code)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ExitCode.USAGE)
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
