"""The refusals of an infrastructure engine."""

from shared.kernel.errors import Conflict, Stale


class PlanChanged(Stale):
    """The stack or its program changed since the plan was made."""

    def __init__(self, stack: str, *, expected: str, received: str) -> None:
        super().__init__(
            f"stack {stack} changed since the plan was made: its plan is now {expected}, received "
            f"{received}; plan again",
            target="/planId",
        )
        self.expected = expected
        self.received = received


class StackBusy(Conflict):
    """Another run of the stack is in progress, and the fence is not newer than its own."""


class RunNotActive(Conflict):
    """The run of a step has ended or was superseded; nothing was recorded."""


class EvaluationDefect(Exception):
    """An environment program failed, and its inputs are not the reason."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(f"{message}\n{where}")
        self.where = where
