"""`explain`: what an error code or an alert means, and who does what about it."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.alert_pages import PAGE, AlertSection, alert_sections
from cli.error_pages import NOBODY, ErrorRow, codes_of_fields, error_rows
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.remedy_lookup import remedy_for
from cli.state_folder import REPOSITORY

_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")
"""Of a page: a terminal follows none."""
_OF_A_FIELD: Final = "The code of a single field: what was expected and what came stand beside it."


def explain(
    code: Annotated[
        str,
        typer.Argument(
            metavar="CODE", help="As an error ends, such as EnvironmentExists, or an alert's name."
        ),
    ],
    invocation: Invocation,
) -> None:
    """What an error code or an alert means, and what is done about it, by whom."""
    rows = {row.code: row for row in error_rows()}
    fields, alerts = codes_of_fields(), alert_sections()
    known = {each.casefold(): each for each in (*alerts, *rows, *fields)}
    typed = code.strip("[]").casefold()
    if typed not in known:
        likely = [known[each] for each in get_close_matches(typed, sorted(known), n=3)]
        hint = f"; did you mean {' or '.join(likely)}?" if likely else ""
        raise Failure(
            f"there is no error code or alert {code!r}{hint}",
            ExitCode.NOT_FOUND,
            remedy=f"all of them: {(REPOSITORY / 'docs' / 'errors' / 'README.md')}, {PAGE}",
        )
    name = known[typed]
    shown = _of_code(name, rows, fields) if name in rows or name in fields else {}
    if name in alerts:
        shown |= _of_alert(alerts[name], invocation)
    invocation.show(shown)


def _of_code(
    name: str, rows: Mapping[str, ErrorRow], fields: Mapping[str, Path]
) -> dict[str, object]:
    """Return what is shown of an error code."""
    row = rows.get(name) or ErrorRow(
        fields[name], name, name, _OF_A_FIELD, caller=NOBODY, operator=NOBODY, developer=NOBODY
    )
    return {
        "code": name,
        "meaning": _part(row.meaning),
        "caller": _part(row.caller),
        "operator": _part(row.operator),
        "developer": _part(row.developer),
        "next": remedy_for(name, "", ExitCode.OK) or None,
        "page": f"{row.page.relative_to(REPOSITORY)}",
    }


def _of_alert(section: AlertSection, invocation: Invocation) -> dict[str, object]:
    """Return what is shown of an alert; in the table with each step in a line of its own."""
    steps = [_LINK.sub(r"\1", step) for step in section.steps]
    shown: dict[str, object] = {"alert": _LINK.sub(r"\1", section.meaning)}
    if invocation.is_table:
        shown |= {f"step {number}": step for number, step in enumerate(steps, 1)}
    else:
        shown["steps"] = steps
    return shown | {"runbook": f"{PAGE.relative_to(REPOSITORY)}"}


def _part(cell: str) -> str | None:
    return None if cell == NOBODY else _LINK.sub(r"\1", cell)
