"""The entry point of `runtimectl`: its commands, and the output and exit code of a failure."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from importlib.metadata import version
from typing import Annotated, Final

import typer

from cli.commands import (
    artifacts,
    audit,
    cloud,
    cluster,
    configurations,
    deployments,
    doctor,
    drift,
    environments,
    events,
    explain,
    images,
    logs,
    objectives,
    operations,
    parked,
    release_files,
    releases,
    scaling,
    secret_bindings,
    services,
    system,
    tenants,
)
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.interruption import begin, interrupted, interruption_noticed
from cli.options import Commands, Invocation
from cli.output import Format, encode, note, say
from cli.parameter_types import typed_text
from cli.state_folder import REPOSITORY
from cli.typed import remember
from shared.kernel.full_disk import FULL
from shared.persistence.disk_errors import reason_of

_EPILOG = (
    "Exit codes: 0 ok, 1 our defect, 2 usage, 3 refused, 4 not found, 5 conflict or held, "
    "6 unavailable, 7 ended otherwise (rolled back, failed), 8 not logged in, 9 still running."
)
app = Commands(
    name="runtimectl",
    epilog=_EPILOG,
    pretty_exceptions_enable=False,
)
_OF_THE_PARSER: Final = re.compile(
    r"Input should be (a valid integer|a valid number|(?:less|greater) than or equal to)(?:, .*)?"
)
_WORDS: Final = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "less than or equal to": "at most",
    "greater than or equal to": "at least",
}
_INSTEAD_OF_A_DRY_RUN: Final = {
    "runtimectl scale set": "`--what-if` shows what the policy would have done",
    "runtimectl tenant unbind": "without `--confirm` it says what goes, and changes nothing",
}
_PANELS: Final[Mapping[str, Sequence[Callable[..., None]]]] = {
    "The system": (system.up, system.down, system.login, doctor.doctor, system.completion),
    "Releases": (
        release_files.init,
        release_files.validate,
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
        services.live,
        logs.logs,
        events.events,
        explain.explain,
    ),
}
for panel, functions in _PANELS.items():
    for function in functions:
        app.command(rich_help_panel=panel)(function)
app.add_typer(cloud.app, name="cloud", rich_help_panel="The system")
app.add_typer(cluster.app, name="cluster", rich_help_panel="The system")
app.add_typer(environments.app, name="env", rich_help_panel="Releases")
app.add_typer(configurations.app, name="config", rich_help_panel="Releases")
app.add_typer(secret_bindings.app, name="secret", rich_help_panel="Releases")
app.add_typer(tenants.app, name="tenant", rich_help_panel="Releases")
app.add_typer(scaling.app, name="scale", rich_help_panel="Releases")
app.add_typer(artifacts.app, name="artifact", rich_help_panel="Releases")
app.add_typer(images.app, name="image", rich_help_panel="Releases")
app.add_typer(objectives.app, name="slo", rich_help_panel="State and history")
app.add_typer(drift.app, name="drift", rich_help_panel="State and history")
app.add_typer(operations.app, name="operations", rich_help_panel="State and history")
app.add_typer(audit.app, name="audit", rich_help_panel="State and history")
app.add_typer(parked.app, name="parked", rich_help_panel="State and history")


@app.callback(invoke_without_command=True)
def runtimectl(
    ctx: typer.Context,
    invocation: Invocation,  # noqa: ARG001  -o and --state before the command
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version of this program, and its folder.")
    ] = False,
) -> None:
    """Environments, releases and their health, from the command line."""
    if show_version:
        say(f"runtimectl {version('factory-runtime')} of {REPOSITORY}")
    elif ctx.invoked_subcommand is None:
        say(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    line = sys.argv[1:] if arguments is None else list(arguments)
    # What was typed is known while this command runs, and to nothing after it.
    return copy_context().run(_run, line)


def _run(line: Sequence[str]) -> int:
    remember({})
    begin()
    try:
        return _exit_code(line)
    except Failure as failure:
        return _report(failure, line)
    except typer.TyperException as wrong:
        return _report(_usage_failure(wrong), line)
    except OSError as problem:
        return _report(_disk_failure(problem), line)


def _exit_code(line: Sequence[str]) -> int:
    """Return how *line* ended. Raises Failure: Ctrl-C; the parser says nothing of it."""
    try:
        with interruption_noticed():
            code = app(args=line, prog_name="runtimectl", standalone_mode=False)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else ExitCode.USAGE
    if code == ExitCode.INTERRUPTED:
        raise interrupted()
    return int(code) if isinstance(code, int) else int(ExitCode.OK)


def _disk_failure(problem: OSError) -> Failure:
    """Return what a file or a full disk refused. Raises *problem*: it is another one."""
    reason = reason_of(problem)
    name = problem.filename or "a file"
    if isinstance(problem, PermissionError):
        return Failure(
            f"{name} cannot be used: {reason}",
            ExitCode.UNAVAILABLE,
            remedy="name a folder of your own: --state, and RUNTIMECTL_CACHE for the cache",
        )
    if FULL not in reason:
        raise problem
    return Failure(
        f"{name} cannot be written: {reason}",
        ExitCode.UNAVAILABLE,
        remedy="make space on the disk of the state folder",
    )


def _report(failure: Failure, line: Sequence[str]) -> int:
    form = _output_format(line)
    if form is Format.TABLE:
        note("\n".join(failure.lines()))
    else:
        note(encode(failure.body(), form))
    return int(failure.exit_code)


def _usage_failure(wrong: typer.TyperException) -> Failure:
    # Of an enum's own refusal: the words of what checks it, which say nothing.
    message = wrong.format_message().rstrip(".").replace("Value error, ", "")
    message = _OF_THE_PARSER.sub(lambda found: f"expected {_WORDS[found[1]]}", message)
    message += _what_came(wrong)
    context = getattr(wrong, "ctx", None)
    command = context.command_path if context else "runtimectl"
    remedy = f"see `{command} --help`"
    if getattr(wrong, "option_name", "") == "--dry-run":
        instead = _INSTEAD_OF_A_DRY_RUN.get(command)
        remedy = f"it has no dry run; {instead or remedy}"
    return Failure(message[:1].lower() + message[1:], ExitCode.USAGE, remedy=remedy)


def _what_came(wrong: typer.TyperException) -> str:
    """Return the value that the parser took for no number; it says only what it expected."""
    errors = getattr(wrong.__cause__, "errors", None)  # pydantic's, which is slow to import
    return "".join(f", got {typed_text(str(each['input']))}" for each in errors()) if errors else ""


def _output_format(line: Sequence[str]) -> Format:
    """Return the format of a line that may be none: its errors have the form of its result."""
    forms = re.findall(r"(?:^|\0)(?:-o[\0=]?|--output[\0=])(json|yaml|table)", "\0".join(line))
    return Format(forms[-1]) if forms else Format.TABLE


if __name__ == "__main__":
    sys.exit(main())
