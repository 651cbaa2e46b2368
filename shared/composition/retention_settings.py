"""The settings of how long a service keeps what has ended, as a part of the app settings."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import BaseModel, Field

from shared.contracts.retention import MESSAGES_KEPT, Retention

_SHORTEST: Final = MESSAGES_KEPT.days + 2
_LONGEST: Final = 24_000
"""Cosmos DB takes 2³¹ seconds."""

Days = Annotated[int, Field(ge=_SHORTEST, le=_LONGEST)]
ResultDays = Annotated[int, Field(ge=1, le=MESSAGES_KEPT.days)]


class RetentionSettings(BaseModel, defer_build=True):
    """How long what has ended is kept: see [retention](retention.md)."""

    ended_kept_days: Days = Field(Retention().ended.days, alias="RUNTIME_ENDED_KEPT_DAYS")
    """How many days deployments, operations, versions of configurations, secret bindings and
    rotations are kept after their end."""
    retired_kept_days: Days = Field(Retention().retired.days, alias="RUNTIME_RETIRED_KEPT_DAYS")
    """The same for services that were removed, with their history."""
    results_kept_days: ResultDays = Field(
        Retention().results.days, alias="RUNTIME_RESULTS_KEPT_DAYS"
    )
    """health: the same for gates and samples. deployments: for the output of removed releases."""

    @property
    def retention(self) -> Retention:
        """Return the spans."""
        return Retention(
            ended=timedelta(days=self.ended_kept_days),
            retired=timedelta(days=self.retired_kept_days),
            results=timedelta(days=self.results_kept_days),
        )
