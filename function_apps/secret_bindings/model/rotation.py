"""A rotation of one secret to its last consumer: its states, and the next round of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.secret_bindings.errors import (
    ConsumerRolledBack,
    ProofMissing,
    ReleaseOnItsWay,
    VersionsFull,
)
from function_apps.secret_bindings.model.binding import Binding, FoundVersion
from function_apps.secret_bindings.model.secret_head import Consumer, SecretHead
from shared.contracts.secret_bindings import RotationStatus
from shared.contracts.values import Reason, SecretDelivery
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.transitions import Transitions

State = RotationStatus
OLDER_MAX: Final = 500
"""Versions that one rotation disables; the value of each is read where a resource checks it."""
TOLD_MAX: Final = 50
"""Of those, the newest, as many as its event names."""
WITHDRAWN_AGAIN: Final = timedelta(seconds=30)
"""After so long the withdrawal is asked for again: a deployment with an older version may be over.
"""
ORDERS_MAX: Final = 3
"""A consumer that another release took back to the old version is asked so often to follow."""


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
    """The last time at which a consumer was told to follow, and how often that was."""

    at: str
    count: int = 1


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
    older: tuple[str, ...] = ()
    orders: Mapping[str, Order] = field(default_factory=dict)
    heard: int = 0
    overlap_until: str | None = None
    reason: Reason | None = None
    ended_at: str | None = None
    consumers: tuple[Consumer, ...] = ()
    withdrawal: Withdrawal | None = None

    @property
    def number(self) -> int:
        """Its place among the rotations of its secret, from 1."""
        return int(self.rotation_id.rpartition("-")[2])

    @property
    def is_ended(self) -> bool:
        return self.status in TRANSITIONS.endings

    @property
    def version(self) -> str:
        """The version that it comes to; while there is none, the one that is in force."""
        return self.to_version or self.from_version

    @property
    def disabled(self) -> Sequence[str]:
        """The versions that nobody is given once it has ended, the newest first.

        One that was in force and is not among `older` was disabled before, by somebody.
        """
        if self.external:
            return ()
        before = [self.from_version] if self.from_version else []
        return [*dict.fromkeys((*before, *self.older))][:TOLD_MAX]

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
    """Return *head* after *failed*, free for the next rotation; alerted, unless it was canceled."""
    return replace(
        head,
        rotation_id=None,
        failed_version=failed.to_version,
        alerted_at=head.alerted_at if is_canceled else head.alerted_at or at,
    )


def end(rotation: Rotation, head: SecretHead, now: datetime) -> Rotation:
    """Return *rotation* Revoked. Raises TransitionRefused."""
    return replace(
        evolve(rotation, OldVersionsDisabled), consumers=head.consumers, ended_at=isoformat(now)
    )


def pending(rotation: Rotation, head: SecretHead) -> Sequence[Consumer]:
    """Return the consumers that run and have not proved the new version, in a stable order."""
    behind = (
        each for each in head.consumers if each.is_running and each.version != rotation.to_version
    )
    return sorted(behind, key=lambda consumer: consumer.binding_id)


def unconfirmed(rotation: Rotation, head: SecretHead) -> Sequence[Consumer]:
    """Return the consumers that a deployment may still give an older version, in a stable order.

    That is also who runs nothing yet: its first release may be on its way with an older version.
    """
    confirmed = rotation.withdrawal.confirmed if rotation.withdrawal else ()
    left = (each for each in head.consumers if each.binding_id not in confirmed)
    return () if rotation.external else sorted(left, key=lambda consumer: consumer.binding_id)


def confirm(rotation: Rotation, binding_id: str) -> Rotation | None:
    """Return *rotation* after a withdrawal was confirmed; None where that is nothing new."""
    withdrawal = rotation.withdrawal
    if withdrawal is None or rotation.is_ended or binding_id in withdrawal.confirmed:
        return None
    confirmed = (*withdrawal.confirmed, binding_id)
    return replace(rotation, withdrawal=replace(withdrawal, confirmed=confirmed))


@dataclass(frozen=True)
class Round:
    """The next orders: who is told to follow, or given no older version; and how long to wait."""

    rotation: Rotation
    ordered: Sequence[Consumer] = ()
    until: datetime | None = None
    """Absent where every consumer has proved the new version, and is given no older one."""
    withdrawn: Sequence[Consumer] = ()
    """Those of which deployments is asked to confirm that."""


def next_round(
    rotation: Rotation,
    head: SecretHead,
    now: datetime,
    *,
    proof_within: timedelta,
    reloading_ratio_max: float,
) -> Round:
    """Return whom to tell to follow now: first one, then as many at once as may reload.

    Raises:
        ConsumerRolledBack: a consumer did not come up with the new version.
        ProofMissing: a consumer did not prove it in time, or was taken back again and again.
        ReleaseOnItsWay: a deployment with an older version did not end in time.
    """
    behind = pending(rotation, head)
    if not behind:
        is_over = rotation.status is State.VERIFIED
        return (
            _withdraw(rotation, head, now, proof_within) if is_over else Round(_rolling(rotation))
        )
    for consumer in behind:
        _require_on_its_way(rotation, consumer, now, proof_within)
    is_canary = rotation.canary and rotation.status in {State.TESTED, State.CANARY}
    begun = bool(rotation.orders)
    if is_canary and (not begun or any(_is_on_its_way(rotation, each) for each in behind)):
        at_once, after = 1, rotation
        if rotation.status is State.TESTED:
            after = evolve(rotation, CanaryBegan)
    else:
        at_once = max(1, int(len(head.consumers) * reloading_ratio_max))
        after = _rolling(rotation)
    under_way = [each for each in behind if _is_on_its_way(rotation, each)]
    waiting = [each for each in behind if each not in under_way]
    ordered = waiting[: max(0, at_once - len(under_way))]
    orders = dict(after.orders)
    for consumer in ordered:
        earlier = orders.get(consumer.binding_id)
        orders[consumer.binding_id] = Order(isoformat(now), earlier.count + 1 if earlier else 1)
    after = replace(_unasked(after), orders=orders)
    first = min(parse_instant(orders[each.binding_id].at) for each in (*under_way, *ordered))
    return Round(after, ordered, first + proof_within)


def _withdraw(
    rotation: Rotation, head: SecretHead, now: datetime, confirmed_within: timedelta
) -> Round:
    """Return whose older versions are to be withdrawn now, at the end of the overlap.

    Raises:
        ReleaseOnItsWay: a deployment with an older version did not end in time.
    """
    left = unconfirmed(rotation, head)
    if not left:
        return Round(_unasked(rotation))
    known = rotation.withdrawal or Withdrawal()
    if not known.since:
        known = replace(known, since=isoformat(now))
    if now >= parse_instant(known.since) + confirmed_within:
        raise ReleaseOnItsWay(left[0].module_id, rotation.version, str(confirmed_within))
    again = parse_instant(known.asked_at) + WITHDRAWN_AGAIN if known.asked_at else now
    if now < again:
        return Round(rotation, until=again)
    asked = replace(rotation, withdrawal=replace(known, asked_at=isoformat(now)))
    return Round(asked, until=now + WITHDRAWN_AGAIN, withdrawn=left)


def _unasked(rotation: Rotation) -> Rotation:
    """Return *rotation* with nobody to wait for: who is to be asked next has all the time."""
    if rotation.withdrawal is None:
        return rotation
    return replace(rotation, withdrawal=replace(rotation.withdrawal, since="", asked_at=""))


def _rolling(rotation: Rotation) -> Rotation:
    is_before = rotation.status in {State.TESTED, State.CANARY}
    return evolve(rotation, RollingBegan) if is_before else rotation


def _is_on_its_way(rotation: Rotation, consumer: Consumer) -> bool:
    """Return whether it was told to follow, and no release of it has ended since then."""
    order = rotation.orders.get(consumer.binding_id)
    return order is not None and consumer.ended_at <= order.at


def _require_on_its_way(
    rotation: Rotation, consumer: Consumer, now: datetime, proof_within: timedelta
) -> None:
    order = rotation.orders.get(consumer.binding_id)
    if order is None:
        return
    if not _is_on_its_way(rotation, consumer):
        if consumer.is_rolled_back:
            raise ConsumerRolledBack(consumer.module_id, rotation.version)
        if order.count >= ORDERS_MAX:
            raise ProofMissing(consumer.module_id, rotation.version, f"{order.count} roll-outs")
    elif now >= parse_instant(order.at) + proof_within:
        raise ProofMissing(consumer.module_id, rotation.version, str(proof_within))


def verify(rotation: Rotation, now: datetime) -> Rotation:
    """Return *rotation* Verified, with its overlap begun; itself where it is."""
    if rotation.status is State.VERIFIED:
        return rotation
    until = now + timedelta(seconds=rotation.overlap_s)
    return replace(evolve(rotation, ConsumersProved), overlap_until=isoformat(until))
