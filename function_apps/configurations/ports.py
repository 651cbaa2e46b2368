"""The ports of configurations, and the numbers of its rules."""

from dataclasses import field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.kernel.dataclass import dataclass
from shared.persistence.tables import Table
from shared.web.long_polls import Followers


@dataclass(frozen=True)
class ConfigurationsRules:
    """The numbers of the service; the local profile shortens the waits."""

    judge_every: timedelta = timedelta(seconds=30)
    """A version that is not adopted yet is looked at again."""
    adopted_within: timedelta = timedelta(minutes=10)
    """An instance that is to run a version, and does not for so long, makes it SyncFailed."""
    reported_for: timedelta = timedelta(minutes=3)
    """An instance that follows live and has not asked for so long is not expected any more.

    More than a long poll takes: who is held says nothing meanwhile.
    """


LOCAL_RULES: Final = ConfigurationsRules(
    judge_every=timedelta(seconds=2),
    adopted_within=timedelta(minutes=1),
    reported_for=timedelta(seconds=90),
)


@dataclass(frozen=True)
class ConfigurationsApp:
    """The service's own parts; `reports` has a row for every instance that follows live."""

    service: Service
    reports: Table
    followers: Followers
    rules: ConfigurationsRules = field(default_factory=ConfigurationsRules)
