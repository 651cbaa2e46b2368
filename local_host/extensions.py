"""The extensions of the host; HTTP is built in. Each is imported when a host is made."""

from collections.abc import Sequence

from local_host.model import ExtensionFactory


def standard_extensions() -> Sequence[ExtensionFactory]:
    """Return the factory of each, in the order in which they start; they stop in reverse."""
    from local_host.cosmos_db.trigger import cosmos_db  # noqa: PLC0415
    from local_host.durable.extension import durable  # noqa: PLC0415
    from local_host.service_bus.trigger import service_bus  # noqa: PLC0415
    from local_host.timer_trigger.timers import timers  # noqa: PLC0415

    return (durable, service_bus, cosmos_db, timers)
