"""`logging.logLevel` of `host.json`: from which level on a category is shown.

The category of what a function logs is `Function.<name>.User`, that of the host `Host.<part>`. The
longest entry that begins a category decides, else `default`, else Information.
https://learn.microsoft.com/azure/azure-functions/configure-monitoring#configure-log-levels
"""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from local_host.apps.configuration import Configuration, ConfigurationRefused

LEVELS: Final = {
    "trace": 5, "debug": logging.DEBUG, "information": logging.INFO, "warning": logging.WARNING,
    "error": logging.ERROR, "critical": logging.CRITICAL, "none": logging.CRITICAL + 1,
}  # fmt: skip
_DEFAULT: Final = "default"


class LogLevels:
    """The levels of one app."""

    def __init__(self, by_category: Mapping[str, int]) -> None:
        self._by_category = {name.lower(): level for name, level in by_category.items()}
        self.least = lru_cache(maxsize=1024)(self._least)

    def _least(self, category: str) -> int:
        """Return the first level that is shown of *category*."""
        lowered = category.lower()
        beginnings = [name for name in self._by_category if lowered.startswith(name)]
        decides = max(beginnings, key=len, default=_DEFAULT)
        return self._by_category.get(decides, logging.INFO)


def log_levels_of(settings: Configuration) -> LogLevels:
    """Return the levels of an app. Raises ConfigurationRefused."""
    section = settings.host_value("logging", "logLevel")
    if section is None:
        return LogLevels({})
    if not isinstance(section, Mapping):
        raise ConfigurationRefused(
            f'host.json of {settings.app}: logging.logLevel is {section!r}; write {{"default": '
            '"Information"}'
        )
    return LogLevels({name: _level(settings, name, text) for name, text in section.items()})


def _level(settings: Configuration, category: str, text: object) -> int:
    level = LEVELS.get(str(text).lower())
    if level is None:
        raise ConfigurationRefused(
            f"host.json of {settings.app}: logging.logLevel.{category} is {text!r}; write Trace,"
            " Debug, Information, Warning, Error, Critical or None"
        )
    return level
