"""`explain`: what an error code means, who does what about it, and what to type next."""

import re
from difflib import get_close_matches
from typing import Annotated, Final

import typer

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
        typer.Argument(metavar="CODE", help="As an error ends, such as EnvironmentExists."),
    ],
    invocation: Invocation,
) -> None:
    """What an error code means, and what its caller, operator and developer do about it."""
    rows = {row.code: row for row in error_rows()}
    fields = codes_of_fields()
    known = {each.casefold(): each for each in (*rows, *fields)}
    typed = code.strip("[]").casefold()
    if typed not in known:
        likely = [known[each] for each in get_close_matches(typed, sorted(known), n=3)]
        hint = f"; did you mean {' or '.join(likely)}?" if likely else ""
        raise Failure(
            f"there is no error code {code!r}{hint}",
            ExitCode.NOT_FOUND,
            remedy=f"all of them: {(REPOSITORY / 'docs' / 'errors' / 'README.md')}",
        )
    name = known[typed]
    row = rows.get(name) or ErrorRow(
        fields[name], name, name, _OF_A_FIELD, caller=NOBODY, operator=NOBODY, developer=NOBODY
    )
    invocation.show(
        {
            "code": name,
            "meaning": _part(row.meaning),
            "caller": _part(row.caller),
            "operator": _part(row.operator),
            "developer": _part(row.developer),
            "next": remedy_for(name, "", ExitCode.OK) or None,
            "page": f"{row.page.relative_to(REPOSITORY)}",
        }
    )


def _part(cell: str) -> str | None:
    return None if cell == NOBODY else _LINK.sub(r"\1", cell)
