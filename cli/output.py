"""Results on standard output: a table for people, JSON or YAML for programs."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TextIO

from cli.typed import as_typed, typeable

Item = Mapping[str, Any]
"""One resource, as the API answers it."""


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True)
class Column:
    """One column of a table; `value` is a field of the item, or a function of it."""

    title: str
    value: str | Callable[[Item], Any]

    def cell(self, item: Item) -> str:
        value = item.get(self.value) if isinstance(self.value, str) else self.value(item)
        return format_value(value)


def format_value(value: Any) -> str:
    """Return *value* as a cell; an absent value is a dash."""
    if value is None or value in ("", [], {}, ()):
        return "-"
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case Mapping():
            return ", ".join(f"{name}={format_value(part)}" for name, part in value.items())
        case list() | tuple():
            return ", ".join(format_value(part) for part in value)
        case _:
            return str(value)


def plain(text: str) -> str:
    """Return *text* with what a terminal would act on written as an escape; lines and tabs stay.

    What others said stands in it: a reason, an answer of a workload.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text
    )


def format_time(instant: str | None) -> str:
    """Return the time of day of an ISO instant, to tenths of a second."""
    return instant[11:21] if instant else "-"


def shown_actor(row: Item) -> str:
    """Return who did it, with the tenant where that is another one than the reader's."""
    tenant = row.get("actorTenant")
    return f"{row['actor']} of {tenant}" if tenant else str(row["actor"])


def format_digest(digest: str | None) -> str | None:
    """Return the first digits of a digest, as people compare them."""
    return f"{digest[:19]}…" if digest else None


def format_table(items: Sequence[Item], columns: Sequence[Column]) -> list[str]:
    """Return *items* as aligned lines below their titles."""
    rows = [[column.title for column in columns]]
    rows += [[column.cell(item) for column in columns] for item in items]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def format_fields(item: Item) -> list[str]:
    """Return the fields of *item*, one per line, without absent ones."""
    present = {name: value for name, value in item.items() if value not in (None, "", [], {})}
    width = max((len(name) for name in present), default=0)
    return [f"{name.ljust(width)}  {format_value(value)}" for name, value in present.items()]


def encode(value: Any, form: Format) -> str:
    """Return *value* as JSON or YAML."""
    if form is Format.YAML:
        import yaml  # noqa: PLC0415  slow to import

        text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        return text.rstrip()
    return _json(value, indent=2)


def _json(value: Any, indent: int | None = None) -> str:
    """Return *value* as JSON in which only what prints is not escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )


def show(
    value: Any,
    form: Format,
    columns: Sequence[Column] | None = None,
    *,
    empty: str = "nothing here yet",
) -> None:
    """Print a list as a table of *columns*, or one item as its fields; else as JSON or YAML."""
    if form is not Format.TABLE:
        print(encode(value, form))
    elif columns is None:
        say("\n".join(format_fields(value)))
    else:
        say(typeable("\n".join(format_table(value, columns) if value else [empty])))


def show_line(value: Any) -> None:
    """Print one of many results that come by and by, as JSON on one line."""
    print(_json(value), flush=True)


def note(text: str) -> None:
    """Print *text* to standard error, so that a pipe gets the result only."""
    say(as_typed(text), to=sys.stderr)


def warn(text: str) -> None:
    """Print what the server warns of to standard error, on one line."""
    note(f"warning: {' '.join(text.split())}")


def say(text: str, *, to: TextIO | None = None) -> None:
    """Print *text*, plain, to standard output or *to* another stream."""
    print(plain(text), file=to, flush=True)
