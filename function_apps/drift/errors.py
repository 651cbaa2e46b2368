"""The refusals of drift, by name."""

from shared.kernel.errors import Conflict, Invalid, NotFound


class FindingNotFound(NotFound):
    """No such finding in the caller's tenant."""

    def __init__(self, finding_id: str) -> None:
        super().__init__(f"no finding {finding_id!r}")


class DriftNotFound(NotFound):
    """No such environment in the caller's tenant, or none that was provisioned."""

    def __init__(self, environment_id: str) -> None:
        super().__init__(f"no environment {environment_id!r} is scanned for drift")


class SnapshotNotFound(NotFound):
    """No such snapshot of a service; they are kept for 30 days."""

    def __init__(self, snapshot_id: str) -> None:
        super().__init__(f"no snapshot {snapshot_id[:80]!r}: they are kept for 30 days")


class NotRepairable(Conflict):
    """No command of the platform's would repair the finding."""

    def __init__(self, finding_id: str, why: str) -> None:
        super().__init__(f"{finding_id} is not repaired: {why}")


class RepairHeld(Conflict):
    """A repair would write a property of the service that is suppressed."""

    def __init__(self, finding_id: str, suppressed: str, path: str) -> None:
        super().__init__(
            f"{finding_id} is not repaired while {suppressed} is suppressed: the repair would"
            f" write {path} too"
        )


class SuppressionTooLong(Invalid):
    """A suppression ends; it is renewed by somebody who looks again."""

    def __init__(self, days: int) -> None:
        super().__init__(
            f"length: expected more than nothing and at most {days} days", target="/length"
        )
