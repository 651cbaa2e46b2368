"""The refusals of drift, by name."""

from shared.kernel.errors import Conflict, Invalid, NotFound, Unauthenticated


class FindingNotFound(NotFound):
    """No such finding in the caller's tenant."""

    def __init__(self, finding_id: str) -> None:
        super().__init__(f"no finding {finding_id!r}")


class DriftNotFound(NotFound):
    """No such environment in the caller's tenant, or none that was provisioned."""

    def __init__(self, environment_id: str) -> None:
        super().__init__(f"no environment {environment_id!r} is scanned for drift")


class GitSourceNotFound(NotFound):
    """No such source in the caller's tenant."""

    def __init__(self, source_id: str) -> None:
        super().__init__(f"no Git source {source_id!r}")


class GitSourceExists(Conflict):
    """The same folder is followed already, with other content; or its environment is."""

    def __init__(self, source_id: str, why: str) -> None:
        super().__init__(f"{source_id} {why}: remove it first")


class TooManyGitSources(Conflict):
    """The tenant has as many sources as it may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a tenant has at most {most} Git sources: expected one to be removed")


class EnvironmentNotOwned(Invalid):
    """The environment is another tenant's, with its vault."""

    def __init__(self, environment_id: str) -> None:
        super().__init__(
            f"environmentIds: {environment_id} is another tenant's, which alone has its vault:"
            " expected an own one first",
            target="/environmentIds/0",
        )


class SignatureRefused(Unauthenticated):
    """No such source takes webhooks, or the signature is none of its key."""

    def __init__(self) -> None:
        super().__init__("no source takes webhooks here, or the signature is not its key's")


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
