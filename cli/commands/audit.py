"""`audit`: who did what to what, over all apps, and whether their records are whole."""

from typing import Annotated, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.fan_out import ask_apps, newest_of_apps
from cli.lookup import id_labels, replace_ids
from cli.options import Commands, Invocation
from cli.output import Column, Item, format_time
from cli.parameter_types import any_id, instant

app = Commands(help="Audit records of all apps: list (without a word after it), verify.")
_SOUND: Final = "Sound"
_NOT_ASKED: Final = {"status": "NotAsked", "brokenAt": None}
"""Of an app that does not run: nobody can say whether its records are whole."""
_COLUMNS: Final = (
    Column("WHEN", lambda record: format_time(record["at"])),
    Column("WHO", "actor"),
    Column("DID", "action"),
    Column("TO", "about"),
    Column("OUTCOME", "outcome"),
    Column("WHY", "why"),
)
_VERIFY_COLUMNS: Final = (
    Column("APP", "app"),
    Column("STATUS", "status"),
    Column("BROKEN AT", "brokenAt"),
)


@app.callback(invoke_without_command=True)
def audit(
    ctx: typer.Context,
    invocation: Invocation,
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 50,
    about: Annotated[
        str | None, typer.Option(help="Only of this id.", parser=any_id, metavar="ID")
    ] = None,
    who: Annotated[
        str | None, typer.Option(help="Only of this caller, such as user:ann.", metavar="ACTOR")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those since then.", parser=instant, metavar="TIME")
    ] = None,
) -> None:
    """Who did what to what, when and why."""
    if ctx.invoked_subcommand is not None:
        return

    def is_asked(record: Item) -> bool:
        return (
            (about is None or record["target"] == about)
            and (who is None or record["actor"] == who)
            and (since is None or record["at"] >= since)
        )

    records = newest_of_apps(invocation.client, "audit", "at", is_asked, last)
    if invocation.is_table:
        labels = id_labels(invocation.client)
        for record in records:
            record["about"] = replace_ids(record["target"], labels)
            record["why"] = replace_ids(record["reason"], labels)
    invocation.show(records, _COLUMNS, empty="nothing was recorded yet")


@app.command()
def verify(invocation: Invocation) -> None:
    """Whether each app's chain of records is whole: a record that was changed or lost breaks it."""
    asked = ask_apps(invocation.client, "audit-verification")
    found = [{"app": name, **(verdict or _NOT_ASKED)} for name, verdict in asked]
    invocation.show(found, _VERIFY_COLUMNS)
    missing = [each["app"] for each in found if each["status"] == _NOT_ASKED["status"]]
    broken = [each["app"] for each in found if each["status"] not in {_SOUND, _NOT_ASKED["status"]}]
    if broken:
        raise Failure(
            f"the audit records of {', '.join(broken)} are not whole",
            ExitCode.ENDED_OTHERWISE,
            remedy="keep the store as it is, and compare it with its last backup from there on",
        )
    if missing:
        raise Failure(
            f"the audit records of {', '.join(missing)} were not looked at: they do not run",
            ExitCode.UNAVAILABLE,
            remedy="start these apps, and type the command again",
        )
