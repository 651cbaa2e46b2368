"""Whom a rotation tells to follow next, how long it waits, and what it gives up for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from function_apps.secret_bindings.errors import (
    ConsumerRolledBack,
    ProofMissing,
    ReleaseOnItsWay,
    VersionsFull,
)
from function_apps.secret_bindings.model.binding import FoundVersion
from function_apps.secret_bindings.model.rotation import (
    OLDER_MAX,
    TOLD_MAX,
    Order,
    Rotation,
    State,
    Withdrawal,
    come_to,
    end,
    fail,
    failed_head,
    require_older,
    verify,
)
from function_apps.secret_bindings.model.rotation_rounds import (
    ORDERS_MAX,
    WITHDRAWN_AGAIN,
    Round,
    confirm,
    next_round,
    pending,
)
from function_apps.secret_bindings.model.secret_head import Consumer, Rejection, SecretHead
from shared.contracts.values import Reason, SecretDelivery
from shared.kernel.clock import isoformat

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
WITHIN = timedelta(minutes=10)
REASON = Reason(code="ProofMissing", message="no proof")


def consumer(name: str, version: str | None = "1", **changes: object) -> Consumer:
    return replace(Consumer(name, f"module-{name}", is_running=True, version=version), **changes)  # type: ignore[arg-type]


def proved(name: str) -> Consumer:
    return consumer(name, "2")


def head(*consumers: Consumer) -> SecretHead:
    return SecretHead("s", "tenant", "env", "vault", "db", False, "1", consumers, rotation_id="r-7")


def rotation(status: State = State.TESTED, *, canary: bool = False, **changes: object) -> Rotation:
    made = Rotation(
        "r-7", "tenant", "env", "s", "vault", "db", False, "b", "module", SecretDelivery.REFERENCE,
        "DB", "1", None, 60.0, canary, "op", isoformat(NOW), status=status, to_version="2",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def ordered(at: timedelta = timedelta(0), count: int = 1) -> Order:
    return Order(isoformat(NOW + at), count)


def round_of(rotation: Rotation, *consumers: Consumer, at_once: float = 0.5) -> Round:
    return next_round(
        rotation, head(*consumers), NOW, proof_within=WITHIN, reloading_ratio_max=at_once
    )


def told(found: Round) -> list[str]:
    return [each.binding_id for each in found.ordered]


def test_those_that_run_an_old_version_are_behind_in_the_order_of_their_bindings() -> None:
    stopped = consumer("d", is_running=False)
    consumers = [consumer("c"), consumer("a", None), consumer("b", "2"), stopped]

    assert [each.binding_id for each in pending(rotation(), head(*consumers))] == ["a", "c"]


def test_a_canary_follows_alone() -> None:
    first = round_of(rotation(canary=True), *map(consumer, "abcd"))

    assert told(first) == ["a"]
    assert first.rotation.status is State.CANARY
    assert first.rotation.orders == {"a": Order(isoformat(NOW), 1)}
    assert first.until == NOW + WITHIN


def test_while_the_canary_is_on_its_way_nobody_else_is_told() -> None:
    waits = rotation(State.CANARY, canary=True, orders={"a": ordered(-WITHIN / 2)})

    found = round_of(waits, *map(consumer, "abcd"))

    assert (told(found), found.rotation.status) == ([], State.CANARY)
    assert found.until == NOW + WITHIN / 2


def test_once_the_canary_has_proved_it_the_others_follow() -> None:
    proved = rotation(State.CANARY, canary=True, orders={"a": ordered()})

    found = round_of(proved, consumer("a", "2"), *map(consumer, "bcd"))

    assert (told(found), found.rotation.status) == (["b", "c"], State.ROLLING)


@pytest.mark.parametrize(
    ("at_once", "first"),
    [
        pytest.param(0.5, ["a", "b"], id="a-part-of-all"),
        pytest.param(0.01, ["a"], id="at-least-one"),
        pytest.param(1.0, ["a", "b", "c", "d"], id="all"),
    ],
)
def test_without_a_canary_as_many_follow_as_may_reload(at_once: float, first: list[str]) -> None:
    found = round_of(rotation(), *map(consumer, "abcd"), at_once=at_once)

    assert (told(found), found.rotation.status) == (first, State.ROLLING)


def test_those_on_their_way_count_towards_the_part() -> None:
    rolling = rotation(State.ROLLING, orders={"a": ordered(-WITHIN / 2)})

    found = round_of(rolling, *map(consumer, "abcd"))

    assert told(found) == ["b"]
    assert found.until == NOW + WITHIN / 2


FOLLOWED = Order(isoformat(NOW), ORDERS_MAX - 1, is_followed=True)


def test_who_has_proved_it_has_followed() -> None:
    found = round_of(rotation(State.ROLLING, orders={"a": ordered()}), proved("a"))

    assert found.rotation.orders == {"a": replace(ordered(), is_followed=True)}


def test_one_that_followed_and_was_taken_back_is_told_again() -> None:
    rolling = rotation(State.ROLLING, orders={"a": replace(FOLLOWED, at=isoformat(NOW - WITHIN))})

    found = round_of(rolling, consumer("a", ended_at="back"))

    assert found.rotation.orders["a"] == Order(isoformat(NOW), ORDERS_MAX, "back")


def test_one_that_is_taken_back_again_and_again_fails_it() -> None:
    orders = {"a": replace(FOLLOWED, count=ORDERS_MAX)}

    with pytest.raises(ProofMissing) as failed:
        round_of(rotation(State.ROLLING, orders=orders), consumer("a"))
    assert all(
        word in failed.value.message for word in ("module-a", "2", f"{ORDERS_MAX} roll-outs")
    )


def test_whom_another_deployment_kept_waiting_is_told_once_more_in_the_same_time() -> None:
    """So many releases may end before its roll-out begins: none of them is a failure of it."""
    rolling = rotation(State.ROLLING, orders={"a": ordered(-WITHIN / 2, count=ORDERS_MAX)})

    found = round_of(rolling, consumer("a", ended_at="meanwhile"))
    after = round_of(found.rotation, consumer("a", ended_at="meanwhile"))

    assert (told(found), told(after)) == (["a"], [])
    assert after.rotation.orders["a"] == replace(
        ordered(-WITHIN / 2, count=ORDERS_MAX), seen="meanwhile"
    )
    assert after.until == NOW + WITHIN / 2


def test_a_canary_whose_release_has_ended_without_it_is_waited_for() -> None:
    waits = rotation(State.CANARY, canary=True, orders={"a": ordered()})

    found = round_of(waits, consumer("a", ended_at="meanwhile"), *map(consumer, "bcd"))

    assert (told(found), found.rotation.status) == (["a"], State.CANARY)


@pytest.mark.parametrize("by", [None, "r-7"], ids=["a-release", "its-roll-out"])
def test_one_that_did_not_come_up_with_it_fails_it(by: str | None) -> None:
    after = consumer("a", ended_at="after", rejected=Rejection("2", by, "dep-x ended as Failed"))

    with pytest.raises(ConsumerRolledBack, match="version 2: dep-x ended as Failed"):
        round_of(rotation(State.ROLLING, orders={"a": ordered()}), after)


@pytest.mark.parametrize(
    ("rejected", "seen"),
    [
        pytest.param(Rejection("1"), "", id="a-release-without-it"),
        pytest.param(Rejection("2", "r-6"), "", id="a-roll-out-of-another-rotation"),
        pytest.param(Rejection("2", "r-7"), "after", id="before-it-was-told"),
    ],
)
def test_what_was_taken_back_without_it_does_not_fail_it(rejected: Rejection, seen: str) -> None:
    rolling = rotation(State.ROLLING, orders={"a": replace(ordered(), seen=seen)})

    found = round_of(rolling, consumer("a", ended_at="after", rejected=rejected))

    assert found.until == NOW + WITHIN


def test_a_proof_that_does_not_come_in_time_fails_it() -> None:
    late = rotation(State.ROLLING, orders={"a": ordered(-WITHIN)})
    in_time = rotation(State.ROLLING, orders={"a": ordered(-WITHIN + timedelta(seconds=1))})

    assert told(round_of(in_time, consumer("a"))) == []
    with pytest.raises(ProofMissing) as failed:
        round_of(late, consumer("a"))
    assert all(word in failed.value.message for word in ("module-a", "2", str(WITHIN)))


def test_once_all_have_proved_it_there_is_no_round() -> None:
    found = round_of(rotation(canary=True), consumer("a", "2"))

    assert found == Round(found.rotation)
    assert found.rotation.status is State.ROLLING


def test_after_the_overlap_older_versions_are_withdrawn_of_all_also_of_who_runs_nothing() -> None:
    first = consumer("b", is_running=False)

    found = round_of(rotation(State.VERIFIED), consumer("a", "2"), first)

    assert ([each.binding_id for each in found.withdrawn], told(found)) == (["a", "b"], [])
    assert found.rotation.withdrawal == Withdrawal(isoformat(NOW), isoformat(NOW))
    assert found.until == NOW + WITHDRAWN_AGAIN


@pytest.mark.parametrize(
    ("asked", "again"),
    [(WITHDRAWN_AGAIN - timedelta(seconds=1), []), (WITHDRAWN_AGAIN, ["b"])],
    ids=["too-soon", "again"],
)
def test_who_is_not_confirmed_is_asked_again(asked: timedelta, again: list[str]) -> None:
    known = Withdrawal(isoformat(NOW - asked), isoformat(NOW - asked), ("a",))

    found = round_of(rotation(State.VERIFIED, withdrawal=known), *map(proved, "ab"))

    assert [each.binding_id for each in found.withdrawn] == again
    assert found.until is not None
    assert found.until > NOW


def test_once_all_are_confirmed_there_is_no_round() -> None:
    known = Withdrawal(isoformat(NOW), isoformat(NOW), ("a",))
    verified = rotation(State.VERIFIED, withdrawal=known)

    found = round_of(verified, proved("a"))

    assert (found.until, found.ordered, found.withdrawn) == (None, (), ())


@pytest.mark.parametrize(
    "first", [proved("a"), consumer("a")], ids=["all-confirmed", "one-follows"]
)
def test_whoever_is_asked_next_has_all_the_time(first: Consumer) -> None:
    long_ago = Withdrawal(isoformat(NOW - WITHIN), isoformat(NOW - WITHIN), ("a",))
    waited = round_of(rotation(State.VERIFIED, withdrawal=long_ago), first).rotation

    assert round_of(waited, proved("a"), proved("b")).until == NOW + WITHDRAWN_AGAIN


def test_one_with_an_older_version_follows_before_anything_is_withdrawn() -> None:
    found = round_of(rotation(State.VERIFIED), consumer("a"), proved("b"))

    assert (told(found), found.withdrawn) == (["a"], ())


def test_a_release_that_does_not_end_in_time_fails_it() -> None:
    late = Withdrawal(isoformat(NOW - WITHIN), isoformat(NOW - WITHDRAWN_AGAIN))

    with pytest.raises(ReleaseOnItsWay) as failed:
        round_of(rotation(State.VERIFIED, withdrawal=late), proved("a"))
    assert all(word in failed.value.message for word in ("module-a", "2", str(WITHIN)))


def test_of_an_external_secret_nothing_is_withdrawn() -> None:
    verified = rotation(State.VERIFIED, external=True)

    assert round_of(verified, proved("a")) == Round(verified)


@pytest.mark.parametrize(
    ("changes", "confirmed"),
    [
        pytest.param({}, ("a", "b"), id="another-one"),
        pytest.param({"withdrawal": Withdrawal("", "", ("b",))}, None, id="a-repeat"),
        pytest.param({"withdrawal": None}, None, id="nothing-was-asked"),
        pytest.param({"status": State.REVOKED}, None, id="it-has-ended"),
    ],
)
def test_a_confirmation_counts_once_while_it_is_asked_for(
    changes: dict[str, object], confirmed: tuple[str, ...] | None
) -> None:
    known = rotation(State.VERIFIED, withdrawal=Withdrawal("", "", ("a",)))

    after = confirm(replace(known, **changes), "b")  # type: ignore[arg-type]

    assert (after and after.withdrawal and after.withdrawal.confirmed) == confirmed


def test_the_overlap_begins_with_the_last_proof_and_only_once() -> None:
    verified = verify(rotation(State.ROLLING), NOW)

    assert verified.status is State.VERIFIED
    assert verified.overlap_until == isoformat(NOW + timedelta(seconds=60))
    assert verify(verified, NOW + WITHIN) is verified


def test_what_ran_at_its_end_is_kept() -> None:
    runs = consumer("a", "2")
    ended = end(rotation(State.VERIFIED), head(runs), NOW)
    failed = fail(rotation(State.ROLLING), REASON, head(runs), NOW)

    assert (ended.status, ended.consumers, ended.ended_at) == (
        State.REVOKED, (runs,), isoformat(NOW),
    )  # fmt: skip
    assert (failed.status, failed.consumers, failed.ended_at, failed.reason) == (
        State.FAILED, (runs,), isoformat(NOW), REASON,
    )  # fmt: skip
    assert ended.is_ended
    assert failed.is_ended
    assert not rotation().is_ended


def test_a_failure_alerts_since_the_first_one_and_frees_the_secret() -> None:
    known = head(Consumer("b", "module"))
    failed = fail(rotation(), REASON, known, NOW)

    after = failed_head(failed, known, "now")

    assert (after.rotation_id, after.failed_version, after.alerted_at) == (None, "2", "now")
    assert failed_head(failed, after, "later").alerted_at == "now"
    assert failed_head(failed, known, "now", is_canceled=True).alerted_at is None
    assert failed_head(failed, head(), "now").alerted_at is None


def test_it_disables_what_was_in_force_and_before_unless_the_secret_is_external() -> None:
    found = FoundVersion("3", "soon")
    mine = come_to(rotation(), found, ["1", "0"])

    assert (mine.to_version, mine.expires_at, mine.older) == ("3", "soon", ("1", "0"))
    assert mine.revision == rotation().revision + 1
    assert (mine.disabled, mine.version, mine.number) == (["1", "0"], "3", 7)
    external = come_to(rotation(external=True), found, ["1", "0"])
    assert (external.older, external.disabled) == ((), ())
    many = come_to(rotation(from_version=""), found, [f"v{each}" for each in range(60)])
    assert many.disabled == [f"v{each}" for each in range(TOLD_MAX)]
    assert rotation(to_version=None).version == "1"


def test_no_version_stays_enabled_without_a_word() -> None:
    require_older(rotation(), OLDER_MAX)
    require_older(rotation(external=True), OLDER_MAX + 1)
    with pytest.raises(VersionsFull):
        require_older(rotation(), OLDER_MAX + 1)


def test_each_wait_for_a_proof_has_its_own_name() -> None:
    assert rotation(heard=3).wait_name == "proof-op-3"
