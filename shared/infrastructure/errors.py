"""What an infrastructure engine refuses, by name."""

from collections.abc import Sequence

from shared.kernel.errors import Conflict, Refused, Stale, Violation
from shared.kernel.fence import StaleFence


class Overtaken(StaleFence):
    """A newer writer holds the stack or the resource: this one changes nothing any more."""

    code = "Overtaken"


class PlanMoved(Stale):
    """The stack or its program changed since the plan was made."""

    code = "PlanMoved"

    def __init__(self, stack: str, *, expected: str, received: str) -> None:
        super().__init__(
            f"stack {stack} moved since the plan was made: its plan is now {expected}, received "
            f"{received}; plan again",
            target="/planHash",
        )
        self.expected = expected
        self.received = received


class RunUnknown(Conflict):
    """A step or end was asked of a run that is not the stack's current one."""

    code = "RunUnknown"


class StackBusy(Conflict):
    """Another run of the stack is in progress, and the fence is not newer than its."""

    code = "StackBusy"


class StepsLeft(Conflict):
    """A run was to be ended before its steps were."""

    code = "StepsLeft"


class StepFailed(Refused):
    """A provider refused one step; `left` names every resource that is not yet as planned."""

    http_status = 409
    code = "StepFailed"

    def __init__(self, cause: Refused, name: str, left: Sequence[str], total: int) -> None:
        super().__init__(
            f"{name}: {cause.message} ({cause.code}); {len(left)} of {total} steps are left: "
            + ", ".join(left),
            details=cause.details or (Violation(cause.code, cause.target or "", cause.message),),
        )
        self.name = name
        self.left = tuple(left)


class EvaluationDefect(Exception):
    """An environment program failed in a way that is nobody's input: a defect of the program."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(f"{message}\n{where}")
        self.where = where
