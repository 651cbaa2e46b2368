"""Options that many commands share, each written once."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import Format
from cli.state_folder import STATE_VARIABLE

State = Annotated[
    Path,
    typer.Option(
        "--state", envvar=STATE_VARIABLE, help="State folder of the system.", metavar="DIR"
    ),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How the result is printed.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when the work has ended.")]
Timeout = Annotated[
    float, typer.Option("--timeout", help="Seconds that --wait waits at most.", min=1)
]
EnvironmentArgument = Annotated[
    str, typer.Argument(metavar="ENVIRONMENT", help="Its name or id.", show_default=False)
]
EnvironmentOption = Annotated[
    str, typer.Option("--env", "-e", metavar="ENVIRONMENT", help="Its name or id.")
]
Reason = Annotated[str, typer.Option("--reason", help="Kept in the audit trail.")]
WAIT_S = 900.0
