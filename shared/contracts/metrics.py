"""What is measured, by whom, and the query of a provider as text with placeholders.

A placeholder is `{{component}}`, `{{revision}}`, `{{environment}}`, `{{tenant}}` or `{{window}}`.
The first four are text of others, so they stand inside a quoted string, where each can be escaped.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from shared.kernel.dataclass import dataclass

QUERY_MAX: Final = 2000
"""Characters of a query, before anything is filled in."""


class Metric(StrEnum):
    REQUESTS = "requests"
    """Answered requests in the window."""
    ERRORS = "errors"
    """Of these, the ones that failed."""
    LATENCY = "latency"
    """Milliseconds of each request, as a histogram."""
    CPU = "cpu"
    """Cores, on average over the window."""
    MEMORY = "memory"
    """Bytes of the working set, on average over the window."""
    QUEUE_LENGTH = "queueLength"
    """Messages that wait, on average over the window."""


class MetricSource(StrEnum):
    """Who measures."""

    SURFACE = "surface"
    """The proxy of the surface itself, which counts every request."""
    PROMETHEUS = "prometheus"
    KUBERNETES = "kubernetes"
    """The metrics API of a cluster (`metrics.k8s.io`): CPU and memory."""
    AZURE_MONITOR = "azureMonitor"
    """Metrics of Azure resources."""
    LOG_ANALYTICS = "logAnalytics"
    """Application Insights and other tables of a Log Analytics workspace."""


class Dialect(StrEnum):
    """The language of a query: its strings, comments and regular expressions."""

    PROMQL = "PromQL"
    KUSTO = "Kusto"
    ODATA = "OData"


DIALECTS: Final = {
    MetricSource.PROMETHEUS: Dialect.PROMQL,
    MetricSource.LOG_ANALYTICS: Dialect.KUSTO,
    MetricSource.AZURE_MONITOR: Dialect.ODATA,
}
"""Of the providers that take a query; the others have names of their own for each metric."""
_SEGMENT: Final = r"/[^/\s?#%\\]*[^/\s?#%\\.][^/\s?#%\\]*"
"""Of an id; a segment of dots alone would lead to another resource."""
RESOURCE_ID: Final = (
    rf"^/subscriptions/[0-9a-fA-F-]{{36}}/resource[gG]roups{_SEGMENT}/providers(?:{_SEGMENT})+$"
)
"""The id of a resource of Azure Monitor. What is none may begin in a scope, and lead out of it."""
WINDOW: Final = "window"
QUOTED_NAMES: Final = frozenset({"component", "revision", "environment", "tenant"})
_PLACEHOLDER: Final = re.compile(r"\{\{([^{}]*)\}\}")
_STRINGS: Final = {
    Dialect.PROMQL: re.compile(
        r"#[^\n]*|(?P<raw>`[^`]*`)|(?P<text>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
    ),
    Dialect.KUSTO: re.compile(
        r"//[^\n]*|(?P<raw>```.*?```|[@hH]+(?:\"[^\"]*\"|'[^']*'))"
        r"|(?P<text>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')",
        re.DOTALL,
    ),
    Dialect.ODATA: re.compile(r"(?P<raw>(?!))|(?P<text>'(?:''|[^'])*')"),
}
"""Comments, strings that escape nothing (`raw`), and strings that do (`text`)."""
_BEFORE_REGEX: Final = {
    Dialect.PROMQL: re.compile(r"(?:=~|!~)\s*$"),
    Dialect.KUSTO: re.compile(r"(?i)\bmatches\s+regex\s*$"),
}


@dataclass(frozen=True)
class Placeholder:
    """Where *name* stands in a query: from `start` to `end`, in the string that `quote` opens.

    `quote` is empty outside of strings; `is_regex`: that string is a regular expression.
    """

    name: str
    start: int
    end: int
    quote: str = ""
    is_regex: bool = False


def placeholders(query: str, dialect: Dialect) -> Iterator[Placeholder]:
    """Yield the placeholders of *query* in order.

    Raises:
        ValueError: one has an unknown name, or stands where it cannot be filled in safely.
    """
    strings = list(_STRINGS[dialect].finditer(query))
    for match in _PLACEHOLDER.finditer(query):
        name, (start, end) = match[1], match.span()
        if name not in QUOTED_NAMES | {WINDOW}:
            known = ", ".join(f"{{{{{each}}}}}" for each in sorted(QUOTED_NAMES | {WINDOW}))
            raise ValueError(f"one of the placeholders {known}, not {{{{{name[:64]}}}}}")
        around = next((each for each in strings if each.start() < start and end < each.end()), None)
        if name == WINDOW and around is None:
            yield Placeholder(name, start, end)
        elif name == WINDOW or around is None or around["text"] is None:
            place = "outside of strings" if name == WINDOW else "inside a string with quotes"
            raise ValueError(f"{{{{{name}}}}} {place}")
        else:
            before = _BEFORE_REGEX.get(dialect)
            is_regex = bool(before and before.search(query, 0, around.start()))
            yield Placeholder(name, start, end, around["text"][0], is_regex)
