"""The Durable functions of one app by the names that orchestrations and clients use."""

from collections.abc import Iterable
from typing import Final

from local_host.durable.history import EventType
from local_host.model import IndexedFunction

ORCHESTRATION: Final = "orchestrationTrigger"
ACTIVITY: Final = "activityTrigger"
ENTITY: Final = "entityTrigger"
TRIGGERS: Final = frozenset({ORCHESTRATION, ACTIVITY, ENTITY})
_NAME_PROPERTY: Final = {ORCHESTRATION: "orchestration", ACTIVITY: "activity", ENTITY: "entityName"}
_WORDS: Final = {ORCHESTRATION: "orchestrator", ACTIVITY: "activity", ENTITY: "entity"}
_CALLED: Final = {
    EventType.TASK_SCHEDULED: ACTIVITY,
    EventType.SUB_ORCHESTRATION_CREATED: ORCHESTRATION,
    EventType.EVENT_SENT: ENTITY,
}


class DurableFunctions:
    """Looks names up ignoring case, as the extension does."""

    def __init__(self, functions: Iterable[IndexedFunction]) -> None:
        self._by_kind: dict[str, dict[str, IndexedFunction]] = {kind: {} for kind in TRIGGERS}
        for function in functions:
            for kind in TRIGGERS:
                if function.trigger.type.lower() == kind.lower():
                    name = function.trigger.text(_NAME_PROPERTY[kind]) or function.name
                    self._by_kind[kind][name.lower()] = function

    def find(self, kind: str, name: str) -> IndexedFunction | None:
        """Return the function of trigger type *kind* that is called *name*."""
        return self._by_kind[kind].get(name.lower())

    def missing(self, kind: str, name: str) -> str:
        """Return the message for a missing function, with the names that exist."""
        known = ", ".join(sorted(f.name for f in self._by_kind[kind].values())) or "none"
        word = _WORDS[kind]
        return (
            f"The function '{name}' doesn't exist, is disabled, or is not an {word} function. "
            f"Registered {word} functions: {known}."
        )

    def refusal_of(self, kind: EventType, name: str) -> str | None:
        """Return why a call of *name* that would be recorded as *kind* must fail."""
        if kind not in _CALLED:
            return None
        wanted = entity_name(name) if kind is EventType.EVENT_SENT else name
        trigger = _CALLED[kind]
        return None if self.find(trigger, wanted) else self.missing(trigger, wanted)


def entity_name(scheduler_id: str) -> str:
    """Return the name in `@name@key`."""
    return scheduler_id[1:].partition("@")[0]
