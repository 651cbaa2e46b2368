"""The pages of `docs/errors/`: what each code says, and what three people do about it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from cli.state_folder import REPOSITORY

FOLDER: Final = REPOSITORY / "docs" / "errors"
_ROW: Final = re.compile(r'^\| <a id="(\w+)"></a>`(\w+)` \|(.*)\|$', re.MULTILINE)
_FIELDS: Final = re.compile(r"^Codes of single fields are (.*)\.$", re.MULTILINE)
NOBODY: Final = "\N{EN DASH}"
"""What a page has where one of the three does nothing."""


class ErrorRow(NamedTuple):
    """What one page says of one code, as Markdown."""

    page: Path
    anchor: str
    code: str
    meaning: str
    caller: str
    operator: str
    developer: str


def error_rows() -> list[ErrorRow]:
    """Return every row of every page."""
    return [
        ErrorRow(page, anchor, code, *(cell.strip() for cell in cells.split(" | ")))
        for page in sorted(FOLDER.glob("*.md"))
        for anchor, code, cells in _ROW.findall(page.read_text(encoding="utf-8"))
    ]


def codes_of_fields() -> Mapping[str, Path]:
    """Return the codes that one sentence lists: they say all, beside `expected` and `received`."""
    page = FOLDER / "requests.md"
    (listed,) = _FIELDS.findall(page.read_text(encoding="utf-8"))
    return dict.fromkeys(re.findall(r"`(\w+)`", listed), page)
