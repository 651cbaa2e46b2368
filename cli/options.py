"""Options that several commands share, and groups of them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from cli.client import Client
from cli.output import Column, Format, say, show
from cli.parameter_types import module_id, seconds
from cli.session import Session
from cli.typed import DEFAULT_STATE, STATE_VARIABLE, remember

WAIT_S: Final = 900.0
EnvironmentArgument = Annotated[
    str, typer.Argument(metavar="ENVIRONMENT", help="Its name or id.", show_default=False)
]
EnvironmentOption = Annotated[
    str, typer.Option("--env", "-e", metavar="ENVIRONMENT", help="Its name or id.")
]
EnvironmentFilter = Annotated[
    str | None, typer.Option("--env", "-e", metavar="ENVIRONMENT", help="Only there.")
]
Module = Annotated[
    str | None,
    typer.Option("--module", "-m", help="module-<slug>.", parser=module_id, metavar="MODULE"),
]
Reason = Annotated[str, typer.Option("--reason", help="Recorded in the audit trail.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; change nothing.")]


@dataclass(frozen=True)
class Invocation:
    """The options of every command, with the session and the output that they select."""

    state: Annotated[
        Path,
        typer.Option(
            "--state", envvar=STATE_VARIABLE, help="State folder of the system.", metavar="DIR"
        ),
    ] = DEFAULT_STATE
    output: Annotated[Format, typer.Option("-o", "--output", help="How the result is printed.")] = (
        Format.TABLE
    )

    @cached_property
    def session(self) -> Session:
        return Session(self.state)

    @property
    def client(self) -> Client:
        return self.session.client

    @property
    def is_table(self) -> bool:
        """Return whether a person reads the result."""
        return self.output is Format.TABLE

    def show(
        self,
        value: Any,
        columns: Sequence[Column] | None = None,
        *,
        empty: str = "nothing here yet",
    ) -> None:
        show(value, self.output, columns, empty=empty)


_OF_EVERY_COMMAND: Final = tuple(option.name for option in fields(Invocation))


@dataclass(frozen=True)
class WaitOptions:
    wait: Annotated[bool, typer.Option("--wait", help="Return when the work has ended.")] = False
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            help="Seconds that --wait waits at most.",
            parser=seconds,
            metavar="SECONDS",
        ),
    ] = WAIT_S


class Commands(typer.Typer):
    """A Typer whose commands may take groups of options as parameters.

    A group is a dataclass whose fields are options. They come after the command's own options.
    Options of every command may also stand before the command.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(context_settings={"help_option_names": ["-h", "--help"]}, **settings)
        self.callback(invoke_without_command=True)(_show_help)

    def command(self, *args: Any, **settings: Any) -> Callable[[Any], Any]:
        register = super().command(*args, **settings)
        return lambda function: register(_with_groups(function))

    def callback(self, **settings: Any) -> Callable[[Any], Any]:
        register = super().callback(**settings)
        return lambda function: register(_with_groups(function))


def _with_groups(function: Callable[..., None]) -> Callable[..., None]:
    """Return *function* with the options of its groups as parameters."""
    hints = get_type_hints(function, include_extras=True)
    groups: Mapping[str, Any] = {n: hint for n, hint in hints.items() if is_dataclass(hint)}
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in groups and name != "ctx"
    ]
    for group in groups.values():
        parameters += _parameters_of(group)

    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    @wraps(function)
    def run(ctx: typer.Context, **values: Any) -> None:
        typed = {name: value for name, value in values.items() if _is_typed(ctx, name)}
        before: Mapping[str, Any] = ctx.obj or {}
        values |= {n: v for n, v in before.items() if n in values and n not in typed}
        ctx.obj = {**before, **{name: typed[name] for name in _OF_EVERY_COMMAND if name in typed}}
        # Messages name files in the state folder, typed or not.
        remember({**typed, "state": values.get("state")}, _as_typed(ctx))
        built = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        if "ctx" in hints:
            values["ctx"] = ctx
        function(**values, **built)

    shown = [context, *parameters]
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run


def _as_typed(ctx: typer.Context) -> Mapping[str, str]:
    """Return how each parameter of the command is typed: its longest option, or its place."""
    return {
        str(each.name): max(each.opts, key=len)
        if each.param_type_name == "option"
        else str(each.metavar or each.name).upper().strip("[].")
        for each in ctx.command.params
    }


def _is_typed(ctx: typer.Context, parameter: str) -> bool:
    source = ctx.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _show_help(ctx: typer.Context, invocation: Invocation) -> None:  # noqa: ARG001  takes -o
    if ctx.invoked_subcommand is None:
        say(ctx.get_help())


def _parameters_of(group: Any) -> list[inspect.Parameter]:
    hints: Mapping[str, Any] = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
