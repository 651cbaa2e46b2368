"""Fills in the placeholders of a query, each escaped as its place in the query asks."""

import re
from typing import Final

from shared.contracts.metrics import WINDOW, Dialect, Placeholder, placeholders
from shared.metrics.port import Subject

_META: Final = re.compile(r"([.+*?()|\[\]{}^$\\])")
"""Of RE2, which both Prometheus and Kusto use."""


def filled(text: str, dialect: Dialect, subject: Subject, window: str) -> str:
    """Return the query *text* about *subject*; *window* is the provider's form of its length.

    Raises:
        ValueError: a placeholder is unknown, stands in no string, or has no value.
    """
    values = {
        "component": subject.component.module,
        "environment": subject.component.environment,
        "tenant": subject.component.tenant,
        "revision": None if subject.revision is None else str(subject.revision),
    }
    parts, end = [], 0
    for each in placeholders(text, dialect):
        value = window if each.name == WINDOW else values[each.name]
        if value is None:
            raise ValueError(f"{{{{{each.name}}}}} where no {each.name} was asked for")
        parts += [text[end : each.start], _escaped(value, each, dialect)]
        end = each.end
    return "".join([*parts, text[end:]])


def _escaped(value: str, place: Placeholder, dialect: Dialect) -> str:
    """Return *value* for the string that it stands in; nothing in it can end that string."""
    if not place.quote:
        return value
    if dialect is Dialect.ODATA:
        return value.replace("'", "''")
    literal = _META.sub(r"\\\1", value) if place.is_regex else value
    escaped = literal.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return escaped.replace(place.quote, f"\\{place.quote}")
