"""A tenant's binding: what a repeat changes, and who may end a suspension."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.tenants.errors import (
    ConfirmationMissing,
    SuspendedByAnother,
    TenantBindingExists,
)
from function_apps.tenants.model.binding import (
    UNBIND,
    State,
    Suspender,
    TenantBinding,
    asked_model,
    differences,
    request,
    unbind,
)
from function_apps.tenants.model.erasure import Erasure
from function_apps.tenants.model.suspension import require_resumable, resume, suspend
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.tenants import BindTenant, Ending
from shared.contracts.values import IsolationModel, Reason, Stage
from shared.kernel.clock import isoformat
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.tenants.binding_states import (
    FAILED,
    GUEST,
    LATER,
    NOW,
    OWNER,
    WHY,
    enforced,
    environment,
    fresh,
)
from tests.tenants.bound import GLOBEX


def test_a_new_binding_is_of_the_environment_as_its_guest_may_know_it() -> None:
    made = fresh()

    assert (made.owner_tenant_id, made.stage, made.generation) == (GLOBEX, Stage.DEV, 2)
    assert made.compute_targets[0].resource_ids == ()
    assert made.created_at == made.updated_at == isoformat(NOW)
    assert not made.is_owner
    assert made.is_known_to(GLOBEX)
    assert made.is_known_to(TENANT)
    assert not made.is_known_to("other")


def test_it_has_outlived_an_environment_that_was_made_again() -> None:
    assert fresh().has_outlived(environment(generation=3))
    assert not fresh().has_outlived(environment())
    assert not fresh(generation=0).has_outlived(environment())


def test_a_model_that_is_not_named_is_that_of_an_active_binding() -> None:
    command = BindTenant(environment_id=ENVIRONMENT)
    pool = enforced(isolation_model=IsolationModel.POOL)

    assert asked_model(command, pool) is IsolationModel.POOL
    assert asked_model(command, replace(pool, status=State.UNBOUND)) is None
    assert asked_model(command, None) is None
    named = BindTenant(environment_id=ENVIRONMENT, isolation_model=IsolationModel.SHARED)
    assert asked_model(named, pool) is IsolationModel.SHARED


def test_the_same_request_changes_nothing_of_an_active_binding() -> None:
    known = enforced(requires=(IsolationLayer.DATA, IsolationLayer.QUOTA))

    assert request(None, fresh()) == fresh()
    assert request(known, fresh(requires=(IsolationLayer.QUOTA, IsolationLayer.DATA))) is known


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"isolation_model": IsolationModel.POOL}, "/isolationModel"),
        ({"requires": (IsolationLayer.DATA,)}, "/requires"),
        ({"quota": Quota(cpu=3)}, "/quota/cpu"),
        ({"quota": Quota(cpu=2, instances=4)}, "/quota/instances"),
    ],
    ids=str,
)
def test_what_differs_from_an_active_binding_is_named(changes: Any, target: str) -> None:
    [found] = differences(enforced(), fresh(**changes))

    assert (found.code, found.target) == ("Differs", target)
    assert found.expected != found.received
    with pytest.raises(TenantBindingExists):
        request(enforced(), fresh(**changes))


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(fresh(revision=6, reason=FAILED), id="its-isolation-failed"),
        pytest.param(enforced(status=State.UNBOUND, revision=6), id="it-was-unbound"),
    ],
)
def test_one_that_failed_or_ended_is_asked_for_again_with_its_next_revision(
    known: TenantBinding,
) -> None:
    known = replace(known, created_at="before", proofs=("proof",))  # type: ignore[arg-type]

    again = request(known, fresh(quota=Quota(cpu=7)))

    assert (again.status, again.revision, again.asked_revision) == (State.BOUND, 7, 7)
    assert (again.created_at, again.proofs, again.reason) == ("before", ("proof",), None)
    assert again.quota == Quota(cpu=7)


def test_only_a_report_that_is_made_outlives_the_next_binding() -> None:
    made = Erasure(Ending.GUEST_LEFT, 3, "then", None, None, signed="jws")
    known = enforced(status=State.UNBOUND, erasure=made)

    assert request(known, fresh()).erasure == made
    unmade = replace(known, erasure=replace(made, signed=None))
    assert request(unmade, fresh()).erasure is None


def test_who_unbinds_a_tenant_names_it() -> None:
    with pytest.raises(ConfirmationMissing):
        unbind(enforced(), None, WHY, LATER)
    leaving = unbind(enforced(), TENANT, Reason(code=UNBIND, message="bye"), LATER)

    assert (leaving.status, leaving.revision, leaving.asked_revision) == (State.UNBINDING, 4, 4)
    assert (leaving.due_at, leaving.updated_at) == (None, isoformat(LATER))
    assert unbind(leaving, TENANT, WHY, LATER) is leaving
    failed = replace(leaving, reason=FAILED)
    assert unbind(failed, TENANT, WHY, LATER).asked_revision == 5
    ended = replace(leaving, status=State.UNBOUND)
    assert unbind(ended, TENANT, WHY, LATER) is ended


def test_what_is_proved_is_looked_at_from_now_on() -> None:
    resumed = resume(enforced(status=State.SUSPENDED, due_at=None), GUEST, LATER, is_admin=False)

    assert resumed.due_at == isoformat(LATER)
    kept = resume(enforced(status=State.SUSPENDED), GUEST, LATER, is_admin=False)
    assert kept.due_at == "soon"


def test_a_higher_suspension_takes_over_a_lower_one_and_not_the_other_way() -> None:
    own = suspend(enforced(), WHY, GUEST, LATER, is_admin=False)

    assert (own.status, own.suspended_by, own.reason) == (State.SUSPENDED, GUEST, WHY)
    assert suspend(own, FAILED, GUEST, LATER, is_admin=True) is own
    owners = suspend(own, FAILED, OWNER, LATER, is_admin=True)
    assert owners.suspended_by == OWNER
    assert suspend(owners, WHY, GUEST, LATER, is_admin=True) is owners
    assert suspend(own, WHY, OWNER, LATER, is_admin=False) is own


def test_who_may_resume_a_suspended_tenant() -> None:
    by_guest = suspend(enforced(), WHY, GUEST, LATER, is_admin=False)
    by_owner = suspend(enforced(), WHY, OWNER, LATER, is_admin=True)
    colleague = Suspender(TENANT, "eve")

    assert resume(by_guest, GUEST, LATER, is_admin=False).suspended_by is None
    assert resume(by_guest, colleague, LATER, is_admin=True).status is State.ENFORCED
    assert resume(by_guest, OWNER, LATER, is_admin=True).status is State.ENFORCED
    for caller, is_admin in ((colleague, False), (Suspender("other", "x"), True)):
        with pytest.raises(SuspendedByAnother):
            resume(by_guest, caller, LATER, is_admin=is_admin)
    with pytest.raises(SuspendedByAnother):
        require_resumable(by_owner, GUEST, is_admin=True)
    require_resumable(enforced(), GUEST, is_admin=False)
    known = enforced()
    assert resume(known, GUEST, LATER, is_admin=False) is known
