"""`audit`: who did what to what, over all apps, and whether their records are whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.audit_heads import (
    Head,
    anchored_heads,
    leads_to,
    newest_heads,
    read_heads,
    require_file,
    write_heads,
)
from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.fan_out import ask_apps, newest_of_apps
from cli.lookup import id_labels, replace_ids
from cli.options import Commands, Invocation
from cli.output import Column, Item, format_time, note, shown_actor
from cli.parameter_types import any_id, instant

app = Commands(help="Audit records of all apps: list (without a word after it), verify.")
_SOUND: Final = "Sound"
_NOT_ASKED: Final = {"status": "NotAsked", "brokenAt": None, "anchored": None}
"""Of an app that does not run: nobody can say whether its records are whole."""
_COLUMNS: Final = (
    Column("WHEN", lambda record: format_time(record["at"])),
    Column("WHO", shown_actor),
    Column("DID", "action"),
    Column("TO", "about"),
    Column("OUTCOME", "outcome"),
    Column("WHY", "why"),
)
_DECISION_COLUMNS: Final = (
    Column("WHEN", lambda record: format_time(record["at"])),
    Column("WHO", shown_actor),
    Column("DID", "action"),
    Column("TO", "about"),
    Column("POLICY", lambda record: _decision(record["policy"])),
    Column("BY", lambda record: [*record["policy"]["rules"], *_engine(record["policy"])]),
)
_VERIFY_COLUMNS: Final = (
    Column("APP", "app"),
    Column("STATUS", "status"),
    Column("BROKEN AT", "brokenAt"),
    Column("ANCHORED", "anchored"),
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
    policy: Annotated[
        bool,
        typer.Option("--policy", help="Only decisions of the policy for prod; -o json has inputs."),
    ] = False,
) -> None:
    """Who did what to what, when and why."""
    if ctx.invoked_subcommand is not None:
        return

    def is_asked(record: Item) -> bool:
        return (
            (about is None or record["target"] == about)
            and (who is None or record["actor"] == who)
            and (since is None or record["at"] >= since)
            and (not policy or record.get("policy") is not None)
        )

    records = newest_of_apps(invocation.client, "audit", "at", is_asked, last)
    if invocation.is_table:
        labels = id_labels(invocation.client)
        for record in records:
            target = replace_ids(record["target"], labels)
            guest = record.get("targetTenant")
            record["about"] = f"{target} of {guest}" if guest else target
            record["why"] = replace_ids(record["reason"], labels)
    columns = _DECISION_COLUMNS if policy else _COLUMNS
    invocation.show(records, columns, empty="nothing was recorded yet")


def _decision(policy: Mapping[str, Any]) -> str:
    """Return what the policy for prod decided, in a few words."""
    if policy["allowed"]:
        return "allowed"
    found = (
        f"{each['target']} is {each['received']}, expected {each['expected']}"
        if each["expected"]
        else each["message"]
        for each in policy["findings"]
    )
    return f"denied: {'; '.join(found)}"


def _engine(policy: Mapping[str, Any]) -> Sequence[str]:
    return ["engine"] if "engine" in policy else []


@app.command()
def verify(
    invocation: Invocation,
    heads: Annotated[
        Path | None,
        typer.Option(
            help="Compare with the heads in this file too, and keep those of now in it if all is"
            " whole. Keep it where the platform cannot write.",
            metavar="FILE",
        ),
    ] = None,
    make_heads: Annotated[
        bool,
        typer.Option("--make-heads", help="Make the file of --heads, the first time."),
    ] = False,
) -> None:
    """Whether each app's chain of records is whole: a record that was changed or lost breaks it.

    Each is compared with the head that was anchored of it: one that was made anew does not have it.
    """
    require_file(heads, makes=make_heads)
    client = invocation.client
    # Before the chains are looked at: one that is made anew meanwhile is found the next time.
    newest = newest_heads(client) if heads else {}
    asked = dict(ask_apps(client, "audit-verification"))
    tenant = _tenant_of(asked) if heads else None
    kept = read_heads(heads, tenant) if heads and tenant and not make_heads else {}
    anchored = anchored_heads(client)
    found = {
        name: _compared(client, name, verdict, anchored.get(name), kept.get(name))
        if verdict
        else _NOT_ASKED
        for name, verdict in asked.items()
    }
    invocation.show([{"app": name, **each} for name, each in found.items()], _VERIFY_COLUMNS)
    missing = [name for name, each in found.items() if each["status"] == _NOT_ASKED["status"]]
    broken = [
        name for name, each in found.items() if each["status"] not in {_SOUND, _NOT_ASKED["status"]}
    ]
    if broken:
        raise Failure(
            f"the audit records of {', '.join(broken)} are not whole",
            ExitCode.ENDED_OTHERWISE,
            remedy="keep the store as it is, and compare it with its last backup from there on",
        )
    if heads and tenant:
        write_heads(heads, tenant, kept | newest)
        if make_heads:
            note(f"{heads} was made with the heads of now; nothing of yours was compared")
        else:
            note(f"compared with the heads in {heads}, which has those of now from here on")
    if missing:
        raise Failure(
            f"the audit records of {', '.join(missing)} were not looked at: they do not run",
            ExitCode.UNAVAILABLE,
            remedy="start these apps, and type the command again",
        )


def _tenant_of(asked: Mapping[str, Mapping[str, Any] | None]) -> str | None:
    """Return whose records the apps have; None where none answers. Raises Failure."""
    answers = [each for each in asked.values() if each]
    tenant = next((each["tenantId"] for each in answers if "tenantId" in each), None)
    if tenant is None and answers:
        raise Failure(
            "--heads: no app says whose records it has, so there is nothing to compare with",
            ExitCode.UNAVAILABLE,
            remedy="upgrade the apps first: those of an earlier release do not say it",
        )
    return tenant


def _compared(
    client: Client, name: str, verdict: Mapping[str, Any], anchored: Head | None, kept: Head | None
) -> Mapping[str, Any]:
    """Return *verdict*, or another one where its chain does not lead to one of the heads."""
    said = {**verdict, "anchored": anchored.number if anchored else None}
    if verdict["status"] == _SOUND:
        for head in filter(None, (anchored, kept)):
            if not leads_to(client, name, head):
                return {**said, "status": "MadeAnew", "brokenAt": head.number}
    return said
