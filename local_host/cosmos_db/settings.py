"""A `cosmosDBTrigger` binding, read."""

from dataclasses import dataclass
from typing import Final

from local_host.model import IndexedFunction

DEFAULT_POLL_MS: Final = 5000
DEFAULT_MAX_ITEMS: Final = 100


@dataclass(frozen=True)
class FeedSettings:
    """One trigger's binding, read."""

    database: str
    container: str
    lease_database: str
    lease_container: str
    lease: str
    """What Azure derives a lease's name from: functions that share it share the changes."""
    poll_s: float
    max_items: int
    from_beginning: bool
    creates_leases: bool = False
    """Whether a lease container that is missing in an account is made there."""


def feed_settings_of(function: IndexedFunction) -> FeedSettings:
    """Read the trigger's binding, in the names of extension 4 or, where different, of 3."""
    trigger = function.trigger
    database = trigger.text("databaseName")
    container = trigger.text("containerName") or trigger.text("collectionName")
    lease_database = trigger.text("leaseDatabaseName") or database
    named = trigger.text("leaseContainerName") or trigger.text("leaseCollectionName")
    lease_container = named or "leases"
    prefix = trigger.text("leaseContainerPrefix") or trigger.text("leaseCollectionPrefix")
    return FeedSettings(
        database,
        container,
        lease_database,
        lease_container,
        f"{lease_database}/{lease_container}/{prefix}/{database}/{container}",
        poll_s=int(trigger.text("feedPollDelay") or DEFAULT_POLL_MS) / 1000,
        max_items=int(trigger.text("maxItemsPerInvocation") or DEFAULT_MAX_ITEMS),
        from_beginning=trigger.flag("startFromBeginning"),
        creates_leases=trigger.flag("createLeaseContainerIfNotExists")
        or trigger.flag("createLeaseCollectionIfNotExists"),
    )
