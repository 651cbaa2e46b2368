"""Results on standard output: a table for people, JSON or YAML for programs."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True)
class Column:
    """One column of a table; `value` takes the item, a name is looked up in it."""

    title: str
    value: str | Callable[[Row], Any]

    def of(self, item: Row) -> str:
        found = item.get(self.value) if isinstance(self.value, str) else self.value(item)
        return text_of(found)


def text_of(value: Any) -> str:
    """Return *value* as a cell: what is absent is a dash."""
    if value is None or value in ("", [], {}, ()):
        return "-"
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case Mapping():
            return ", ".join(f"{name}={text_of(each)}" for name, each in value.items())
        case list() | tuple():
            return ", ".join(text_of(each) for each in value)
        case _:
            return str(value)


def clock_of(instant: str | None) -> str:
    """Return the time of day of an ISO instant, to tenths: what people compare on a terminal."""
    return instant[11:21] if instant else "-"


def table(items: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    """Return *items* as aligned lines below their titles, the last column unpadded."""
    rows = [[column.title for column in columns]]
    rows += [[column.of(item) for column in columns] for item in items]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def pairs(item: Row) -> list[str]:
    """Return what *item* says, one name a line; what is absent is left out."""
    said = {name: value for name, value in item.items() if value not in (None, "", [], {})}
    width = max((len(name) for name in said), default=0)
    return [f"{name.ljust(width)}  {text_of(value)}" for name, value in said.items()]


def encoded(value: Any, form: Format) -> str:
    """Return *value* as JSON or YAML."""
    if form is Format.YAML:
        import yaml  # noqa: PLC0415  only who asks for it waits for it

        text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        return text.rstrip()
    return json.dumps(value, indent=2, ensure_ascii=False)


def show(
    value: Any,
    form: Format,
    columns: Sequence[Column] | None = None,
    *,
    empty: str = "nothing here yet",
) -> None:
    """Print a result: a list needs *columns* for its table; one thing is name and value."""
    if form is not Format.TABLE:
        print(encoded(value, form))
        return
    lines = pairs(value) if columns is None else table(value, columns) if value else [empty]
    print("\n".join(lines))


def note(text: str) -> None:
    """Print *text* for people beside the result, so that a pipe gets the result only."""
    print(text, file=sys.stderr, flush=True)
