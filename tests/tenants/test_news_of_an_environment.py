"""The effect of what an environment says on the bindings to it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from function_apps.tenants.model.binding import (
    State,
)
from function_apps.tenants.model.environment import (
    on_environment_event,
    on_status,
)
from function_apps.tenants.model.environment_news import on_environment
from function_apps.tenants.model.erasure import Erasure
from function_apps.tenants.model.tenant import ProvisionedTenant, on_provisioned
from shared.contracts.environments import (
    EnvironmentStatus,
    IsolationState,
)
from shared.contracts.tenants import (
    Ending,
)
from shared.kernel.clock import isoformat
from tests.kit.service import TENANT
from tests.tenants.binding_states import (
    FAILED,
    LATER,
    OWNER,
    TARGET,
    WHY,
    enforced,
    environment,
    fresh,
    isolation,
    moving,
)
from tests.tenants.bound import GLOBEX


def test_isolation_is_heard_for_what_was_asked_last_only() -> None:
    made = isolation(IsolationState.APPLIED, 1, namespace="ns", identity="id")
    told = environment(isolation=(made,))

    after = on_environment(fresh(), told, LATER)

    assert (after.status, after.namespace, after.identity) == (State.ENFORCED, "ns", "id")
    assert on_environment(after, told, LATER + timedelta(minutes=1)) == after
    late = on_environment(fresh(asked_revision=2), told, LATER)
    assert late.status is State.BOUND


def test_targets_of_the_environment_are_those_that_it_said_last() -> None:
    known = enforced(compute_targets=(TARGET,))

    assert on_environment(known, environment(), LATER) == known
    changed = on_environment(known, environment(compute_targets=()), LATER)
    assert (changed.compute_targets, changed.revision) == ((), known.revision + 1)
    assert changed.updated_at == isoformat(LATER)


def test_isolation_that_fails_is_said_once_in_each_state_that_waits_for_it() -> None:
    told = environment(isolation=(isolation(IsolationState.FAILED, reason=FAILED),))

    for known in (fresh(), enforced(), enforced(status=State.UNBINDING)):
        failed = on_environment(known, told, LATER)
        assert (failed.status, failed.reason) == (known.status, FAILED)
        assert on_environment(failed, told, LATER) == failed
    suspended = enforced(status=State.SUSPENDED, compute_targets=(TARGET,))
    assert on_environment(suspended, told, LATER).reason is None


def test_what_a_suspended_tenant_is_isolated_by_is_heard_and_it_stays_suspended() -> None:
    made = isolation(IsolationState.APPLIED, namespace="ns-old-model", identity="id-old-model")
    told = environment(isolation=(made,))
    suspended = enforced(status=State.SUSPENDED, namespace="ns-new-model", reason=WHY)

    after = on_environment(suspended, told, LATER)

    assert (after.namespace, after.identity) == ("ns-old-model", "id-old-model")
    assert (after.status, after.reason) == (State.SUSPENDED, WHY)
    assert (after.revision, after.updated_at) == (suspended.revision + 1, isoformat(LATER))
    assert on_environment(after, told, LATER + timedelta(minutes=1)) == after


def test_what_is_left_of_an_unbound_tenant_is_looked_at_at_once() -> None:
    told = environment(isolation=(isolation(IsolationState.REMOVED),))
    leaving = enforced(status=State.UNBINDING, reason=WHY, namespace="ns", identity="id")

    gone = on_environment(leaving, told, LATER)

    assert (gone.status, gone.reason, gone.namespace, gone.identity) == (
        State.UNBOUND, WHY, None, None,
    )  # fmt: skip
    assert gone.due_at == isoformat(LATER)
    assert gone.erasure == Erasure(Ending.GUEST_LEFT, 4, isoformat(LATER), "ns", "id")
    own = on_environment(replace(leaving, owner_tenant_id=TENANT), told, LATER)
    assert own.erasure is not None
    assert own.erasure.ending is Ending.OWNER_UNBOUND
    assert on_environment(gone, environment(is_open=False), LATER) is gone


def test_the_end_of_an_environment_ends_its_bindings() -> None:
    ended = environment(is_open=False, retained=("urn",))
    suspended = enforced(status=State.SUSPENDED, suspended_by=OWNER, reason=WHY)

    gone = on_environment(suspended, ended, LATER)

    assert (gone.status, gone.reason, gone.suspended_by) == (State.UNBOUND, None, OWNER)
    assert gone.erasure is not None
    assert (gone.erasure.ending, gone.erasure.retained) == (Ending.GUEST_LEFT, ("urn",))
    own = on_environment(replace(suspended, owner_tenant_id=TENANT), ended, LATER)
    assert own.suspended_by is None
    assert own.erasure is not None
    assert own.erasure.ending is Ending.ENVIRONMENT_ENDED
    assert on_environment(moving(), ended, LATER).move is None
    leaving = enforced(status=State.UNBINDING, reason=WHY)
    assert on_environment(leaving, ended, LATER).reason == WHY


def test_whom_an_environment_admitted_before_is_remembered() -> None:
    known = environment(admits=("a", "b"), admitted_before=("c",))

    after = on_environment_event(known, environment(revision=6, admits=("b", "c", "d")))

    assert after is not None
    assert after.admitted_before == ("a",)
    assert after.who_may_be_bound == sorted({GLOBEX, "a", "b", "c", "d"})
    assert on_environment_event(known, environment()) is None
    assert on_environment_event(None, known) is known
    assert known.admitted(GLOBEX)
    assert known.admitted("a")
    assert not known.admitted("c")
    assert not replace(known, is_open=False).admitted("a")


@pytest.mark.parametrize(
    ("status", "is_leaving"),
    [
        (EnvironmentStatus.DECOMMISSIONING, True),
        (EnvironmentStatus.DECOMMISSION_FAILED, True),
        (EnvironmentStatus.PROVISIONED, False),
    ],
)
def test_an_environment_that_is_taken_down_is_leaving(
    status: EnvironmentStatus, *, is_leaving: bool
) -> None:
    after = on_status(environment(is_leaving=not is_leaving), 6, status)

    assert after is not None
    assert (after.is_leaving, after.revision) == (is_leaving, 6)
    assert on_status(environment(), 5, status) is None
    assert on_status(None, 6, status) is None


def test_of_what_was_said_of_a_tenant_the_later_counts() -> None:
    known = ProvisionedTenant("t", "T", None, "2")

    assert on_provisioned(None, known) is known
    assert on_provisioned(known, replace(known, name="U")) is None
    assert on_provisioned(known, replace(known, said_at="1")) is None
    assert on_provisioned(known, replace(known, said_at="3")) == replace(known, said_at="3")
