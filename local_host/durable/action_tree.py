"""The tree of one action: calls that have ids, and the nodes that wait for them.

It knows what completes what; ids, history and the instant belong to the history replay.
"""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Protocol

from azure.durable_functions.models.actions.ActionType import ActionType

from local_host.durable.history import EventType
from local_host.durable.library_replay import Action


class Ids(Protocol):
    """What a tree needs of the history replay that it is part of."""

    @property
    def now(self) -> datetime:
        """Return the instant of the current episode."""
        ...

    def give_id(self, call: "Call") -> None:
        """Give *call* the next id."""
        ...


class Node:
    """An action, or a child of one."""

    __slots__ = ("is_complete", "parent")

    def __init__(self, parent: "Branch | None") -> None:
        self.parent = parent
        self.is_complete = False

    def complete(self, ids: Ids, *, failed: bool = False) -> None:
        """Mark the node as complete, once, and tell its parent."""
        if not self.is_complete:
            self.is_complete = True
            if self.parent is not None:
                self.parent.child_completed(ids, failed=failed)


class Branch(Node, ABC):
    """A node that is complete when its children are, as it counts them."""

    __slots__ = ()

    @abstractmethod
    def child_completed(self, ids: Ids, *, failed: bool) -> None:
        """Take note of the end of a child."""


class Call(Node):
    """Something that has an id: complete when its completion event is read."""

    __slots__ = ("action", "fire_at", "id", "kind", "name")

    def __init__(
        self, parent: Branch | None, kind: EventType, name: str, action: Action,
        fire_at: datetime | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.kind = kind
        self.name = name
        self.action = action
        self.fire_at = fire_at
        self.id = -1


class AllOf(Branch):
    """Complete with the last of its children; failed when that one was."""

    __slots__ = ("_left",)

    def __init__(self, parent: Branch | None, children: int) -> None:
        super().__init__(parent)
        self._left = children

    def child_completed(self, ids: Ids, *, failed: bool) -> None:
        self._left -= 1
        if self._left == 0:
            self.complete(ids, failed=failed)


class AnyOf(Branch):
    """Complete with the first of its children, however that one ended."""

    __slots__ = ()

    def child_completed(self, ids: Ids, *, failed: bool) -> None:  # noqa: ARG002  either will do
        self.complete(ids)


class Wait(Node):
    """Waits for an external event."""

    __slots__ = ()


class RetriedCall(Branch):
    """A call that is made again after a timer, and takes one more timer after its last failure."""

    __slots__ = ("_action", "_attempt", "_began_at", "_kind", "_name", "_waits")

    def __init__(self, parent: Branch | None, kind: EventType, name: str, action: Action) -> None:
        super().__init__(parent)
        self._kind, self._name, self._action = kind, name, action
        self._attempt = 0
        self._waits = False
        self._began_at: datetime | None = None

    def call(self, ids: Ids) -> None:
        """Make the next attempt."""
        self._attempt += 1
        self._waits = False
        if self._began_at is None and "retryTimeoutInMilliseconds" in self._action["retryOptions"]:
            self._began_at = ids.now
        ids.give_id(Call(self, self._kind, self._name, self._action))

    def child_completed(self, ids: Ids, *, failed: bool) -> None:
        if self._waits:
            if self._may_try_again(ids):
                self.call(ids)
            else:
                self.complete(ids, failed=True)
        elif failed:
            self._waits = True
            timer = {"actionType": ActionType.CREATE_TIMER, "isCanceled": False}
            due = ids.now + self._delay(ids)
            ids.give_id(Call(self, EventType.TIMER_CREATED, "", timer, due))
        else:
            self.complete(ids)

    def _may_try_again(self, ids: Ids) -> bool:
        options = self._action["retryOptions"]
        if self._attempt >= int(options["maxNumberOfAttempts"]):
            return False
        limit = options.get("retryTimeoutInMilliseconds")
        if limit is None or self._began_at is None:
            return True
        return ids.now < self._began_at + timedelta(milliseconds=float(limit))

    def _delay(self, ids: Ids) -> timedelta:
        if not self._may_try_again(ids):
            return timedelta(0)
        options = self._action["retryOptions"]
        delay = float(options["firstRetryIntervalInMilliseconds"])
        delay *= float(options.get("backoffCoefficient", 1)) ** (self._attempt - 1)
        longest = options.get("maxRetryIntervalInMilliseconds")
        return timedelta(milliseconds=min(delay, float(longest)) if longest else delay)
