"""Which of the hosts of a state folder is the primary: it alone opens `host.db`.

That is the primary host lease of the WebJobs SDK, as a lock of the system: it goes with the process
of the primary, however that ends, and never sooner. So two never run timers or orchestrations.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from local_cloud.sqlite.database import Database
from local_host.state_lock import LOCK, StateInUse, StateLock
from shared.kernel.clock import Clock

DATABASE: Final = "host.db"
LOOK_EVERY_S: Final = 0.25
"""How long after the end of a primary another host notices, at most."""


class Primary:
    """The part of one host in it."""

    def __init__(self, folder: Path, clock: Clock, given: Database | None = None) -> None:
        """A host that is *given* a database is the primary at once, and leaves it open."""
        self._folder = folder
        self._clock = clock
        self._is_given = given is not None
        self._lock: StateLock | None = None
        self._database = given

    @property
    def is_here(self) -> bool:
        """Return whether this host is the primary; it then is until it ends."""
        return self._database is not None

    @property
    def database(self) -> Database:
        """Return the open database of the primary."""
        assert self._database is not None, "another host of the folder is the primary"
        return self._database

    def take(self) -> None:
        """Become the primary, if this host is not yet.

        Raises:
            StateInUse: another host is.
            Unavailable: the folder cannot be written, or `host.db` is damaged.
        """
        if self.is_here:
            return
        lock = StateLock(self._folder)
        try:
            self._database = Database(self._folder / DATABASE)
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    async def wait(self) -> None:
        """Return once this host is the primary. Raises Unavailable."""
        while not self.is_here:
            await self._clock.sleep(LOOK_EVERY_S)
            # Where the folder was removed this host is about to end, and makes no new one.
            if (self._folder / LOCK).exists():
                with suppress(StateInUse):
                    self.take()

    def close(self) -> None:
        """Close the database and let another host be the primary."""
        if self._database is not None and not self._is_given:
            self._database.close()
        self._database = None
        if self._lock is not None:
            self._lock.close()
