"""The rounds of a rotation: who is told next to follow, and when older versions may end. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.secret_bindings.errors import (
    ConsumerRolledBack,
    ProofMissing,
    ReleaseOnItsWay,
)
from function_apps.secret_bindings.model.rotation import (
    CanaryBegan,
    Order,
    RollingBegan,
    Rotation,
    State,
    Withdrawal,
    evolve,
)
from function_apps.secret_bindings.model.secret_head import Consumer, Rejection, SecretHead
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass

WITHDRAWN_AGAIN: Final = timedelta(seconds=30)
"""After so long the withdrawal is asked for again: a deployment with an older version may be over.
"""
ORDERS_MAX: Final = 3
"""A consumer that was taken back to an old version is told so often to follow."""


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
    rotation = _followed(rotation, behind)
    if not behind:
        is_over = rotation.status is State.VERIFIED
        return (
            _withdraw(rotation, head, now, proof_within) if is_over else Round(_rolling(rotation))
        )
    for consumer in behind:
        _require_on_its_way(rotation, consumer, now, proof_within)
    under_way = [each for each in behind if _is_on_its_way(rotation, each)]
    is_canary = rotation.canary and rotation.status in {State.TESTED, State.CANARY}
    is_first = not rotation.orders
    if is_canary and (is_first or under_way):
        at_once, after = 1, rotation
        if rotation.status is State.TESTED:
            after = evolve(rotation, CanaryBegan)
    else:
        at_once = max(1, int(len(head.consumers) * reloading_ratio_max))
        after = _rolling(rotation)
    waiting = [each for each in behind if each not in under_way]
    begun_now = waiting[: max(0, at_once - len(under_way))]
    orders = dict(after.orders)
    for consumer in begun_now:
        earlier = orders.get(consumer.binding_id)
        count = earlier.count + 1 if earlier else 1
        orders[consumer.binding_id] = Order(isoformat(now), count, consumer.ended_at)
    # Another deployment ended meanwhile: told once more, deployments answers what is on its way.
    again = [each for each in under_way if _has_news(orders[each.binding_id], each)]
    for consumer in again:
        order = orders[consumer.binding_id]
        orders[consumer.binding_id] = replace(order, seen=consumer.ended_at)
    after = replace(_unasked(after), orders=orders)
    first = min(parse_instant(orders[each.binding_id].at) for each in (*under_way, *begun_now))
    return Round(after, [*again, *begun_now], first + proof_within)


def _followed(rotation: Rotation, behind: Sequence[Consumer]) -> Rotation:
    """Return *rotation* with the orders followed of those that are not *behind*."""
    late = {each.binding_id for each in behind}
    orders = {
        name: order if name in late else replace(order, is_followed=True)
        for name, order in rotation.orders.items()
    }
    return replace(rotation, orders=orders) if orders != rotation.orders else rotation


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
    """Return whether it was told to follow, and has not yet."""
    order = rotation.orders.get(consumer.binding_id)
    return order is not None and not order.is_followed


def _has_news(order: Order, consumer: Consumer) -> bool:
    """Return whether a deployment of it ended since it was told."""
    return consumer.ended_at != order.seen


def _rejection(rotation: Rotation, consumer: Consumer) -> Rejection | None:
    """Return why its last deployment, which was to bring the new version, did not; None else.

    A roll-out for another rotation was stopped with that.
    """
    rejected = consumer.rejected
    if rejected is None or rejected.version != rotation.to_version:
        return None
    return rejected if rejected.rotation_id in {None, rotation.rotation_id} else None


def _require_on_its_way(
    rotation: Rotation, consumer: Consumer, now: datetime, proof_within: timedelta
) -> None:
    order = rotation.orders.get(consumer.binding_id)
    if order is None:
        return
    if order.is_followed:
        if order.count >= ORDERS_MAX:
            raise ProofMissing(consumer.module_id, rotation.version, f"{order.count} roll-outs")
    elif _has_news(order, consumer) and (rejected := _rejection(rotation, consumer)):
        raise ConsumerRolledBack(consumer.module_id, rotation.version, rejected.why)
    elif now >= parse_instant(order.at) + proof_within:
        raise ProofMissing(consumer.module_id, rotation.version, str(proof_within))
