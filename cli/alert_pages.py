"""The page `docs/alerts.md`: what each alert says, and what to do about it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from cli.state_folder import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "alerts.md"
_SECTION: Final = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_STEP: Final = re.compile(r"^\d+\. (.*)$", re.MULTILINE)


class AlertSection(NamedTuple):
    """What the page says of one alert, as Markdown."""

    meaning: str
    steps: Sequence[str]


def alert_sections() -> Mapping[str, AlertSection]:
    """Return the section of each alert by its name."""
    return {
        name: AlertSection(text.strip().partition("\n")[0], _STEP.findall(text))
        for name, text in _SECTION.findall(PAGE.read_text(encoding="utf-8"))
    }
