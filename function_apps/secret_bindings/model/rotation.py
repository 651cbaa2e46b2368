"""A rotation of one secret to its last consumer: what it is, and its states. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.secret_bindings.errors import RotationInFlight, VersionsFull
from function_apps.secret_bindings.model.binding import Binding, FoundVersion, differs
from function_apps.secret_bindings.model.secret_head import FAILED_MAX, Consumer, SecretHead
from function_apps.secret_bindings.model.versions import is_begun_by
from shared.contracts.secret_bindings import RotationStatus, SecretRotationOrder
from shared.contracts.values import Reason, SecretDelivery
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.transitions import Transitions

State = RotationStatus
OLDER_MAX: Final = 500
"""Versions that one rotation disables; the value of each is read where a resource checks it."""
TOLD_MAX: Final = 50
"""Of those, the newest, as many as its event names."""


@dataclass(frozen=True)
class RotationEvent:
    """Something that happened to a rotation."""


@dataclass(frozen=True)
class ResourceSet(RotationEvent):
    """The resource takes the new version beside the old ones; or there is none."""


@dataclass(frozen=True)
class VersionTested(RotationEvent):
    """The resource was asked with the new version, and answered; or there is none."""


@dataclass(frozen=True)
class CanaryBegan(RotationEvent):
    """One consumer is to follow before the others."""


@dataclass(frozen=True)
class RollingBegan(RotationEvent):
    """All consumers are to follow."""


@dataclass(frozen=True)
class ConsumersProved(RotationEvent):
    """Every consumer that runs proved the new version; the overlap begins."""


@dataclass(frozen=True)
class OldVersionsDisabled(RotationEvent):
    """Nobody is given an old version any more."""


@dataclass(frozen=True)
class RotationFailed(RotationEvent):
    """It does not go on: every version stays enabled."""


_FAILS: Final[Mapping[type[RotationEvent], State]] = {RotationFailed: State.FAILED}
TRANSITIONS: Final[Transitions[State, RotationEvent]] = Transitions(
    "a rotation",
    {
        State.CREATED: {ResourceSet: State.SET, **_FAILS},
        State.SET: {VersionTested: State.TESTED, **_FAILS},
        State.TESTED: {CanaryBegan: State.CANARY, RollingBegan: State.ROLLING, **_FAILS},
        State.CANARY: {RollingBegan: State.ROLLING, **_FAILS},
        State.ROLLING: {ConsumersProved: State.VERIFIED, **_FAILS},
        State.VERIFIED: {OldVersionsDisabled: State.REVOKED, **_FAILS},
        State.REVOKED: {},
        State.FAILED: {},
    },
    endings=frozenset({State.REVOKED, State.FAILED}),
)


@dataclass(frozen=True)
class Order:
    """The last time at which a consumer was told to follow, and how often that was.

    `seen` is the end of its last deployment as it was known then. It `is_followed` once the
    consumer has proved the version.
    """

    at: str
    count: int = 1
    seen: str = ""
    is_followed: bool = False


@dataclass(frozen=True)
class Withdrawal:
    """Of older versions, once the overlap is over: since when, and when it was last asked for.

    Both are empty while nobody is waited for. `confirmed` are the bindings of modules that
    deployments gives no older version any more.
    """

    since: str = ""
    asked_at: str = ""
    confirmed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rotation:
    """`binding` names the one it was asked through; `asked_version` is one that is there already.

    `older` are the versions that it disables at its end. `heard` counts the proofs that came while
    it was in flight. `consumers` are kept from its end on.
    """

    rotation_id: str
    tenant_id: str
    environment_id: str
    secret: str
    vault_uri: str
    secret_name: str
    external: bool
    binding_id: str
    module_id: str
    delivery: SecretDelivery
    target: str
    from_version: str
    asked_version: str | None
    overlap_s: float
    canary: bool
    operation_id: str
    created_at: str
    status: State = State.CREATED
    revision: int = 1
    to_version: str | None = None
    expires_at: str | None = None
    request_reason: str = ""
    """The words of who asked for it; `reason` is why it failed."""
    older: tuple[str, ...] = ()
    orders: Mapping[str, Order] = field(default_factory=dict)
    heard: int = 0
    overlap_until: str | None = None
    reason: Reason | None = None
    ended_at: str | None = None
    consumers: tuple[Consumer, ...] = ()
    withdrawal: Withdrawal | None = None
    from_expires_at: str | None = None
    """The end of the version that was in force before, where it is known."""

    @property
    def number(self) -> int:
        """Its place among the rotations of its secret, from 1."""
        return int(self.rotation_id.rpartition("-")[2])

    @property
    def overlap(self) -> timedelta:
        """The time for which old versions stay enabled once every consumer proved the new one."""
        return timedelta(seconds=self.overlap_s)

    @property
    def is_ended(self) -> bool:
        return self.status in TRANSITIONS.endings

    @property
    def version(self) -> str:
        """The version that it comes to; while there is none, the one that is in force."""
        return self.to_version or self.from_version

    def found(self, version: str | None) -> FoundVersion | None:
        """Return *version* where it is the one that this comes to, or was in force before."""
        if version is not None and version == self.to_version:
            return FoundVersion(version, self.expires_at)
        if version and version == self.from_version:
            return FoundVersion(version, self.from_expires_at)
        return None

    @property
    def disabled(self) -> Sequence[str]:
        """The versions that nobody is given once it has ended, the newest first.

        One that was in force and is not among `older` was disabled before, by somebody.
        """
        if self.external:
            return ()
        before = [self.from_version] if self.from_version else []
        old = [each for each in (*before, *self.older) if each != self.to_version]
        return [*dict.fromkeys(old)][:TOLD_MAX]

    @property
    def wait_name(self) -> str:
        """The external event that the next proof raises, unique to the wait for it."""
        return f"proof-{self.operation_id}-{self.heard}"


def new_rotation(
    rotation_id: str,
    binding: Binding,
    *,
    from_version: str,
    asked_version: str | None,
    overlap: timedelta,
    request_reason: str,
    operation_id: str,
    now: datetime,
) -> Rotation:
    """Return the rotation of the secret of *binding*, before anything was done."""
    return Rotation(
        rotation_id,
        binding.tenant_id,
        binding.environment_id,
        binding.secret,
        binding.vault_uri,
        binding.secret_name,
        binding.external,
        binding.binding_id,
        binding.module_id,
        binding.delivery,
        binding.target,
        from_version,
        asked_version,
        overlap.total_seconds(),
        binding.rotation.canary,
        operation_id,
        isoformat(now),
        request_reason=request_reason,
        from_expires_at=binding.expires_at if binding.version == from_version else None,
    )


def require_same(rotation: Rotation, order: SecretRotationOrder) -> None:
    """Refuse *order* while *rotation* is in flight, where it asks for something else.

    What it leaves out it takes as it is; a version that it does not name is one that is made. The
    version that it comes to may be named all the same, whole or by its beginning.

    Raises:
        RotationInFlight: it names what differs.
    """
    active = rotation.asked_version
    if order.version is not None:
        active = rotation.to_version or active
    is_named = order.version is not None and is_begun_by(active, order.version)
    pairs = {
        "/version": (active, order.version, not is_named),
        "/overlap": (rotation.overlap, order.overlap, order.overlap is not None),
        "/reason": (rotation.request_reason, order.reason, bool(order.reason)),
    }
    differing = [
        differs(target, now, asked)
        for target, (now, asked, is_asked) in pairs.items()
        if is_asked and now != asked
    ]
    if differing:
        raise RotationInFlight(
            rotation.secret_name, rotation.rotation_id, rotation.operation_id, differing
        )


def evolve(rotation: Rotation, event: type[RotationEvent]) -> Rotation:
    """Return *rotation* after *event*. Raises TransitionRefused."""
    status = TRANSITIONS.after(rotation.status, event)
    return replace(rotation, status=status, revision=rotation.revision + 1)


def require_older(rotation: Rotation, enabled: int) -> None:
    """Refuse to leave versions enabled without a word. Raises VersionsFull."""
    if enabled > OLDER_MAX and not rotation.external:
        raise VersionsFull(rotation.secret_name, enabled, OLDER_MAX)


def come_to(rotation: Rotation, found: FoundVersion, older: Sequence[str]) -> Rotation:
    """Return *rotation* with the version that it comes to, and those that it disables."""
    return replace(
        rotation,
        to_version=found.version,
        expires_at=found.expires_at,
        older=() if rotation.external else tuple(older),
        revision=rotation.revision + 1,
    )


def fail(rotation: Rotation, reason: Reason, head: SecretHead, now: datetime) -> Rotation:
    """Return *rotation* Failed. Raises TransitionRefused."""
    return replace(
        evolve(rotation, RotationFailed),
        reason=reason,
        consumers=head.consumers,
        ended_at=isoformat(now),
    )


def failed_head(
    failed: Rotation, head: SecretHead, at: str, *, is_canceled: bool = False
) -> SecretHead:
    """Return *head* after *failed*, free for the next rotation.

    It is alerted, unless *failed* was canceled, or nobody has the secret any more.
    """
    alerted_at = head.alerted_at if is_canceled else head.alerted_at or at
    last = failed.to_version if failed.to_version != head.version else None
    last = last or head.failed_version
    before = [each for each in head.failed_versions if each != last]
    return replace(
        head,
        rotation_id=None,
        failed_version=last,
        failed_before=tuple(before[-FAILED_MAX:]),
        alerted_at=alerted_at if head.consumers else None,
    )


def completed_head(head: SecretHead) -> SecretHead:
    """Return *head* after a rotation that ended well: what failed before is over."""
    return replace(head, rotation_id=None, failed_version=None, failed_before=(), alerted_at=None)


def end(rotation: Rotation, head: SecretHead, now: datetime) -> Rotation:
    """Return *rotation* Revoked. Raises TransitionRefused."""
    return replace(
        evolve(rotation, OldVersionsDisabled), consumers=head.consumers, ended_at=isoformat(now)
    )


def verify(rotation: Rotation, now: datetime) -> Rotation:
    """Return *rotation* Verified, with its overlap begun; itself where it is."""
    if rotation.status is State.VERIFIED:
        return rotation
    until = isoformat(now + rotation.overlap)
    return replace(evolve(rotation, ConsumersProved), overlap_until=until)
