"""The entry point of `runtimectl`: its commands, and the output and exit code of a failure."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cli.commands import (
    artifacts,
    deployments,
    environments,
    events,
    logs,
    operations,
    parked,
    releases,
    services,
    system,
)
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Commands
from cli.typed import remember

_EPILOG = (
    "Exit codes: 0 ok, 1 our defect, 2 usage, 3 refused, 4 not found, 5 conflict or held, "
    "6 unavailable, 7 ended otherwise (rolled back, failed), 8 not logged in, 9 still running."
)
app = Commands(
    name="runtimectl",
    help="Environments, releases and their health, from the command line.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_PANELS: Final[Mapping[str, Sequence[Callable[..., None]]]] = {
    "The system": (system.up, system.down, system.login),
    "Releases": (
        releases.deploy,
        releases.promote,
        releases.rollback,
        releases.cancel,
        releases.retry,
        releases.release_hold,
    ),
    "State and history": (
        deployments.deployments,
        deployments.deployment,
        services.status,
        services.history,
        logs.logs,
        events.events,
    ),
}
for panel, functions in _PANELS.items():
    for function in functions:
        app.command(rich_help_panel=panel)(function)
app.add_typer(environments.app, name="env", rich_help_panel="Releases")
app.add_typer(artifacts.app, name="artifact", rich_help_panel="Releases")
app.add_typer(operations.app, name="operations", rich_help_panel="State and history")
app.add_typer(parked.app, name="parked", rich_help_panel="State and history")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    remember({})
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
