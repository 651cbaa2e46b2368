"""What a secret remembers of the modules that are given it, and of its environment."""

from dataclasses import replace

import pytest

from function_apps.secret_bindings.errors import (
    ConsumersFull,
    EnvironmentNotProvisioned,
    GeneratorDiffers,
)
from function_apps.secret_bindings.model.environment import (
    EnvironmentProjection,
    on_environment_event,
    require_open,
)
from function_apps.secret_bindings.model.secret_head import (
    CONSUMERS_MAX,
    Consumer,
    Rejection,
    SecretHead,
    add_consumer,
    forget,
    prove,
    proved_version,
    refuse,
    remove_consumer,
)
from shared.contracts.secret_bindings import Generator, GeneratorKind
from shared.kernel.clock import parse_instant
from tests.kit.told import WEB

RANDOM = Generator(kind=GeneratorKind.RANDOM)
OTHER = Generator(kind=GeneratorKind.KEY_PAIR)
RUNS = Consumer("a", "web", is_running=True, version="1", proved_at="then", ended_at="2")
REJECTED = Rejection("9", "r-7")
STOPPED = Consumer("b", "jobs", version="1", proved_at="then")
OPEN = EnvironmentProjection("env", 3, is_open=True, vault_uri="vault")


def head(*consumers: Consumer, left: tuple[Consumer, ...] = ()) -> SecretHead:
    return SecretHead("s", "tenant", "env", "vault", "db", False, "1", consumers, left=left)


def test_what_runs_shows_its_proof_and_what_does_not_shows_none() -> None:
    at = "2026-11-29T12:00:00Z"
    binding_id = "sec-aaaaaaaaaaaa-aaaaaaaaaaaa"
    runs = replace(RUNS, binding_id=binding_id, module_id=WEB, proved_at=at, release_revision=3)

    shown, hidden = runs.proof, replace(runs, is_running=False).proof

    assert (shown.binding_id, shown.module_id, shown.release_revision) == (binding_id, WEB, 3)
    assert (shown.version, shown.proved_at) == ("1", parse_instant(at))
    assert (hidden.version, hidden.proved_at, hidden.release_revision) == (None, None, 3)


def test_one_that_ran_when_it_was_revoked_is_known_when_it_is_bound_again() -> None:
    after = remove_consumer(head(RUNS, STOPPED), "a")

    assert (after.consumers, after.left) == ((STOPPED,), (RUNS,))
    assert after.consumer_again("a", "web") == RUNS
    again = add_consumer(after, RUNS, "9", None)
    assert (again.consumers, again.left) == ((STOPPED, RUNS), ())
    assert after.consumer_again("c", "new") == Consumer("c", "new")


def test_one_that_did_not_run_leaves_nothing_behind() -> None:
    assert remove_consumer(head(RUNS, STOPPED), "b").left == ()
    assert remove_consumer(head(RUNS), "unknown") == head(RUNS)


def test_of_others_that_left_nothing_is_lost() -> None:
    other = replace(RUNS, binding_id="z")

    assert add_consumer(head(left=(RUNS, other)), RUNS, "1", None).left == (other,)
    assert forget(head(left=(other,))) == head()
    assert forget(head()) is None


def test_the_first_consumer_brings_the_version_and_later_ones_take_it() -> None:
    assert add_consumer(head(), RUNS, "9", RANDOM).version == "9"
    assert add_consumer(head(STOPPED), RUNS, "9", RANDOM).version == "1"
    assert head().in_force is None
    assert head().is_over
    assert not replace(head(), rotation_id="r-1").is_over


def test_consumers_of_one_secret_have_one_generator() -> None:
    known = add_consumer(head(), RUNS, "1", RANDOM)

    assert known.generator == RANDOM
    assert add_consumer(known, STOPPED, "1", None).generator == RANDOM
    assert add_consumer(known, RUNS, "1", OTHER).generator == OTHER
    with pytest.raises(GeneratorDiffers):
        add_consumer(known, STOPPED, "1", OTHER)


def test_a_secret_has_so_many_consumers() -> None:
    full = head(*(Consumer(str(each), "m") for each in range(CONSUMERS_MAX)))

    assert len(add_consumer(full, Consumer("0", "m"), "1", None).consumers) == CONSUMERS_MAX
    with pytest.raises(ConsumersFull):
        add_consumer(full, RUNS, "1", None)


def test_only_a_newer_proof_is_taken() -> None:
    newer = replace(RUNS, release_revision=2, version="2")
    stops = replace(RUNS, is_running=False, ended_at="3", release_revision=0)

    assert prove(head(RUNS, STOPPED), newer) == head(newer, STOPPED)
    assert prove(head(newer), RUNS) is None
    assert prove(head(RUNS), RUNS) is None
    assert prove(head(STOPPED), newer) is None
    stopped = prove(head(newer), stops)
    assert stopped == head(replace(stops, release_revision=2))
    assert prove(head(newer), replace(stops, ended_at="2")) is None


def test_a_roll_out_that_ended_without_a_release_is_remembered_once() -> None:
    after = refuse(head(RUNS, STOPPED), "a", REJECTED, "3")

    assert after == head(replace(RUNS, rejected=REJECTED, ended_at="3"), STOPPED)
    assert refuse(head(RUNS), "a", REJECTED, "2") is None
    assert refuse(head(RUNS), "unknown", REJECTED, "3") is None


def test_a_version_is_proved_by_all_instances_or_by_none() -> None:
    assert proved_version("2", ["2", "2"]) == "2"
    assert proved_version("2", ["2", "1"]) is None
    assert proved_version("2", ["2", None]) is None


def test_only_a_newer_event_of_an_environment_is_taken() -> None:
    assert on_environment_event(None, OPEN) is OPEN
    assert on_environment_event(replace(OPEN, revision=2), OPEN) is OPEN
    assert on_environment_event(replace(OPEN, vault_uri=None), OPEN) is None
    assert on_environment_event(replace(OPEN, revision=4), OPEN) is None


@pytest.mark.parametrize("known", [None, replace(OPEN, is_open=False)], ids=["unknown", "closed"])
def test_nothing_is_bound_in_an_environment_that_is_not_there(
    known: EnvironmentProjection | None,
) -> None:
    with pytest.raises(EnvironmentNotProvisioned) as refused:
        require_open("env", known)
    assert "env" in refused.value.message
    assert require_open("env", OPEN) is OPEN
