"""The times of a schedule: five fields of cron, in UTC, as Kubernetes reads them.

Minute, hour, day of the month, month and day of the week. Each is `*`, a number, a range `1-5`, a
step `*/15`, or a list of these; months and days of the week have names too, `jan` and `mon`. Where
both fields of days are limited, a day that fits one of them is meant. Sunday is 0, and 7 is no day.
Macros (`@daily`), seconds and time zones are refused.
https://pkg.go.dev/github.com/robfig/cron/v3 parses the schedule of a CronJob.
"""

from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from shared.contracts.patterns import pattern

MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBERS: Final = (
    r"[0-5]?[0-9]",
    r"2[0-3]|[01]?[0-9]",
    r"3[01]|[12][0-9]|0?[1-9]",
    "|".join((r"1[0-2]|0?[1-9]", *MONTHS)),
    "|".join((r"0?[0-6]", *DAYS)),
)
"""What stands for one value of each field."""


def _field(number: str) -> str:
    part = rf"(?:\*|(?:{number})(?:-(?:{number}))?)(?:/[1-9][0-9]?)?"
    return rf"{part}(?:,{part})*"


_CRON: Final = f"^{' '.join(map(_field, _NUMBERS))}$"


def _rising(cron: str) -> str:
    for field in cron.split(" "):
        for part in field.split(","):
            first, _, last = part.partition("/")[0].partition("-")
            if last and _place(first) > _place(last):
                raise ValueError(f"a range begins with its lower end, got {part}")
    return cron


def _place(word: str) -> int:
    """Return the place of a number or name among the values of its field."""
    for names in (MONTHS, DAYS):
        if word in names:
            return names.index(word) + (names is MONTHS)
    return int(word)


Cron = Annotated[
    str,
    StringConstraints(
        pattern=pattern(_CRON, "five fields of cron, in UTC, such as 30 2 * * mon-fri"),
        max_length=128,
    ),
    AfterValidator(_rising),
]
