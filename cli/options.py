"""Options that several commands share, and groups of them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from cli.client import Client
from cli.output import Column, Format, show
from cli.session import Session
from cli.state_folder import DEFAULT_STATE, STATE_VARIABLE
from cli.typed import remember

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
Module = Annotated[str | None, typer.Option("--module", "-m", help="module-<slug>.")]
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


@dataclass(frozen=True)
class WaitOptions:
    wait: Annotated[bool, typer.Option("--wait", help="Return when the work has ended.")] = False
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="Seconds that --wait waits at most.", min=1)
    ] = WAIT_S


class Commands(typer.Typer):
    """A Typer whose commands may take groups of options as parameters.

    A group is a dataclass whose fields are options. They come after the command's own options.
    """

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
        if name not in groups
    ]
    for group in groups.values():
        parameters += _parameters_of(group)

    @wraps(function)
    def run(**values: Any) -> None:
        remember(_without_defaults(values, parameters))
        built = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        function(**values, **built)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _without_defaults(
    values: Mapping[str, Any], parameters: Sequence[inspect.Parameter]
) -> Mapping[str, Any]:
    """Return what was typed; the state folder always, because messages name its files."""
    defaults = {parameter.name: parameter.default for parameter in parameters}
    return {n: v for n, v in values.items() if n == "state" or v != defaults[n]}


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
