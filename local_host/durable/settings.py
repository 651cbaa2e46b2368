"""The settings in `extensions.durableTask` of host.json, with the extension's defaults."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from local_host.apps.configuration import Configuration

DEFAULT_HUB: Final = "TestHubName"
_HUB_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{2,44}")
_HUB_LONGEST: Final = 45
_PER_CORE: Final = 10


class HubNameRefused(Exception):
    """A task hub needs 3 to 45 letters and digits, beginning with a letter."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"extensions.durableTask.hubName is {name!r}: write 3 to 45 letters and digits, "
            "beginning with a letter"
        )


@dataclass(frozen=True)
class DurableSettings:
    """One task hub's settings."""

    hub: str = DEFAULT_HUB
    default_version: str = ""
    activities_max: int = _PER_CORE
    orchestrators_max: int = _PER_CORE
    entities_max: int = _PER_CORE
    entity_batch_max: int = 50
    actions_max: int = 100_000
    live_max: int = 1000
    """How many idle instances keep their generator in memory; ours, not host.json's."""
    short_timer_max: str = "6.00:00:00"
    long_timer_interval: str = "3.00:00:00"


def settings_of(configuration: "Configuration") -> DurableSettings:
    """Return the settings of an app.

    Raises:
        HubNameRefused: the configured name cannot be a task hub's.
    """
    section = ("extensions", "durableTask")
    default = _PER_CORE * (os.cpu_count() or 1)
    number = configuration.number
    return DurableSettings(
        hub=hub_name(configuration.text(*section, "hubName", default=""), configuration.values),
        default_version=configuration.text(*section, "defaultVersion", default=""),
        activities_max=number(*section, "maxConcurrentActivityFunctions", default=default),
        orchestrators_max=number(*section, "maxConcurrentOrchestratorFunctions", default=default),
        entities_max=number(*section, "maxConcurrentEntityFunctions", default=default),
        entity_batch_max=number(*section, "maxEntityOperationBatchSize", default=50),
        actions_max=number(*section, "maxOrchestrationActions", default=100_000),
    )


def hub_name(configured: str, values: Mapping[str, str]) -> str:
    """Return the task hub: as configured (`%SETTING%` resolved), else the site's name.

    A site's name is made to fit, as the extension does; a configured name must fit.

    Raises:
        HubNameRefused: it does not.
    """
    if configured:
        name = re.sub(r"%([^%]+)%", lambda match: values.get(match[1], ""), configured)
        if not _HUB_NAME.fullmatch(name):
            raise HubNameRefused(name)
        return name
    site = re.sub(r"[^A-Za-z0-9]", "", values.get("WEBSITE_SITE_NAME", ""))[:_HUB_LONGEST]
    if not site:
        return DEFAULT_HUB
    site = site if site[0].isalpha() else f"t{site}"[:_HUB_LONGEST]
    return site if _HUB_NAME.fullmatch(site) else f"{site}TaskHub"
