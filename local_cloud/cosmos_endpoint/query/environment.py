"""What a query runs in: the time, chance, and how much work is left to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.date_functions import since_epoch, ticks_of
from local_cloud.cosmos_endpoint.query.errors import SqlRefused

STEPS_MAX: Final = 10_000_000
"""Of work: about four seconds of one processor. Cosmos DB ends a request after five."""
_VALUE_MAX: Final = 1_000_000
"""Parts of one value that a query makes; a document of 2 MB has fewer."""
_TICKS_OF_MS: Final = 10_000


@dataclass
class Environment:
    """Of one run of one query. `random` returns a number from 0 to 1, 1 excluded."""

    now: datetime
    random: Callable[[], float]
    steps_left: int = STEPS_MAX

    def spend(self, steps: int) -> None:
        """Take *steps* off the work that is left. Raises SqlRefused when there is none."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise SqlRefused(
                f"the query takes more than {STEPS_MAX:,} steps, which is the most here: look at"
                " fewer documents, or at fewer of their parts"
            )

    def checked(self, value: Any) -> Any:
        """Return *value*, which the query made, if it is no larger than a result may be."""
        self.spend(_parts_of(value, _VALUE_MAX))
        return value

    def current(self, name: str) -> Any:
        """Return the value of one of the functions of the current time."""
        text = f"{self.now:%Y-%m-%dT%H:%M:%S}.{self.now.microsecond:06}0Z"
        ticks = since_epoch(ticks_of(text) or 0)
        if "DATETIME" in name:
            return text
        return ticks if "TICKS" in name else ticks // _TICKS_OF_MS


def _parts_of(value: Any, most: int) -> int:
    """Return how many values *value* consists of. Raises SqlRefused over *most*."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        count += 1
        if count > most:
            raise SqlRefused(f"a value that a query makes has at most {most:,} parts")
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
    return count
