"""The isolation of a tenant after news of its binding, a failure, and a look at its environment."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.environments.model.tenant_isolation import (
    TenantIsolation,
    begun_again,
    failed,
    on_binding,
    to_be_made_again,
    with_next_told,
)
from shared.contracts.environments import IsolationState
from shared.contracts.isolation import Quota
from shared.contracts.tenants import MovePhase, RuntimeTenantBound, TenantBindingStatus
from shared.contracts.values import ComputeTargetKind, IsolationModel, Reason
from shared.kernel.clock import isoformat
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, bound_tenant
from tests.kit.virtual_time import EPOCH

Status = TenantBindingStatus
SILO, SHARED = IsolationModel.SILO, IsolationModel.SHARED
PENDING, APPLIED = IsolationState.PENDING, IsolationState.APPLIED
FAILED, REMOVED = IsolationState.FAILED, IsolationState.REMOVED
WHY: Final = Reason(code="Unreachable", message="the surface is away")
AKS: Final = ComputeTargetKind.AKS


def at(minutes: float) -> str:
    return isoformat(EPOCH + timedelta(minutes=minutes))


def bound(revision: int, status: str, asked: int, **changes: Any) -> RuntimeTenantBound:
    """Return news of a binding that was last asked for at its revision *asked*."""
    return bound_tenant(revision, status, askedRevision=asked, **changes)


def after(
    known: TenantIsolation | None, event: RuntimeTenantBound, operation: str = "op-2"
) -> TenantIsolation | None:
    return on_binding(known, event, TENANT, operation)


def isolation(**changes: Any) -> TenantIsolation:
    """Return the isolation of a binding that was asked for at its revision 3."""
    made = after(None, bound(3, "Bound", 3, quota={"cpu": 2}), "op-1")
    assert made is not None
    return replace(made, **changes)


def test_the_first_news_of_a_binding_begin_its_isolation() -> None:
    made = isolation()

    assert (made.tenant_id, made.owner_tenant_id, made.environment_id) == (
        TENANT, TENANT, ENVIRONMENT,
    )  # fmt: skip
    assert (made.revision, made.asked, made.operation_id) == (3, 3, "op-1")
    assert (made.status, made.state, made.model) == (Status.BOUND, PENDING, SHARED)
    assert (made.quota, made.fence_token, made.generation) == (Quota(cpu=2), 1, 1)
    assert made.binding_id == bound(3, "Bound", 3).binding_id
    assert not made.is_foreign


@pytest.mark.parametrize("revision", [2, 3], ids=["older", "the-same-again"])
def test_only_newer_news_of_a_binding_are_news(revision: int) -> None:
    assert after(isolation(), bound(revision, "Enforced", revision)) is None


@pytest.mark.parametrize(
    ("status", "asked", "begins"),
    [
        pytest.param("Bound", 4, True, id="bound-anew"),
        pytest.param("Moving", 4, True, id="moved"),
        pytest.param("Unbinding", 4, True, id="to-leave"),
        pytest.param("Enforced", 4, True, id="a-move-was-taken-back"),
        pytest.param("Suspended", 4, True, id="of-one-that-is-suspended"),
        pytest.param("Enforced", 3, False, id="told-that-it-is-in-force"),
        pytest.param("Bound", 3, False, id="told-of-a-failure"),
        pytest.param("Unbound", 4, False, id="nothing-is-left-to-ask-for"),
    ],
)
def test_only_what_is_asked_for_anew_begins_work(status: str, asked: int, *, begins: bool) -> None:
    known = isolation(due_at=at(5))

    heard = after(known, bound(4, status, asked))

    assert heard is not None
    assert (heard.status, heard.revision) == (Status(status), 4)
    assert heard.operation_id == ("op-2" if begins else "op-1")
    assert heard.fence_token == (2 if begins else 1)
    assert heard.asked == (asked if begins else 3)


@pytest.mark.parametrize(
    ("status", "due_at"),
    [
        pytest.param("Enforced", at(5), id="it-is-in-force"),
        pytest.param("Unbound", None, id="it-has-ended"),
    ],
)
def test_an_environment_is_looked_at_until_its_binding_has_ended(
    status: str, due_at: str | None
) -> None:
    known = isolation(due_at=at(5), state=APPLIED, targets=(AKS,), reason=WHY)

    heard = after(known, bound(4, status, 3, quota={"cpu": 9}))

    assert heard == replace(known, status=Status(status), revision=4, due_at=due_at)


def test_what_is_asked_for_anew_begins_with_what_there_is() -> None:
    known = isolation(
        state=FAILED, reason=WHY, failures=4, due_at=at(5), namespace="ns", identity="id",
        targets=(AKS,), told=6, owner_revision=7, fence=8, generation=2,
    )  # fmt: skip

    heard = after(known, bound(4, "Bound", 4, quota={"cpu": 9}))

    assert heard == isolation(
        quota=Quota(cpu=9), revision=4, asked=4, operation_id="op-2", fence=9, generation=2,
        namespace="ns", identity="id", targets=(AKS,), told=6, owner_revision=7,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "generation"),
    [pytest.param(REMOVED, 3, id="gone"), pytest.param(APPLIED, 2, id="still-there")],
)
def test_a_binding_after_one_that_is_gone_is_a_new_generation(
    state: IsolationState, generation: int
) -> None:
    heard = after(isolation(state=state, generation=2), bound(4, "Bound", 4))

    assert heard is not None
    assert heard.generation == generation


@pytest.mark.parametrize(
    ("drained", "status", "is_drained"),
    [
        pytest.param(True, "Unbinding", True, id="that-was-heard-before-it-is-to-leave"),
        pytest.param(True, "Bound", False, id="it-is-to-stay"),
        pytest.param(False, "Unbinding", False, id="something-runs"),
    ],
)
def test_that_nothing_runs_counts_for_a_tenant_that_leaves(
    drained: bool, status: str, is_drained: bool  # noqa: FBT001  the case
) -> None:  # fmt: skip
    heard = after(isolation(drained=drained), bound(4, status, 4))

    assert heard is not None
    assert (heard.drained, heard.is_leaving) == (is_drained, status == "Unbinding")


@pytest.mark.parametrize(
    ("known", "event", "model"),
    [
        pytest.param({"model": SILO}, bound(4, "Moving", 4, phase="Copying"), SILO,
                     id="a-silo-that-may-go-back"),
        pytest.param({"model": SILO}, bound(4, "Moving", 4), SILO, id="of-an-unknown-phase"),
        pytest.param({"model": SILO}, bound(4, "Moving", 4, phase=MovePhase.CLEANING), SHARED,
                     id="one-that-goes-back-no-more"),
        pytest.param({"model": SILO}, bound(4, "Bound", 4), SHARED, id="one-that-is-not-moved"),
        pytest.param({"model": SILO, "state": REMOVED}, bound(4, "Moving", 4), SHARED,
                     id="one-that-is-gone"),
        pytest.param({"model": SHARED}, bound(4, "Moving", 4, isolationModel="silo"), SILO,
                     id="into-a-silo"),
    ],
)  # fmt: skip
def test_a_silo_that_is_moved_stays_one_until_it_cannot_go_back(
    known: dict[str, Any], event: RuntimeTenantBound, model: IsolationModel
) -> None:
    heard = after(isolation(**known), event)

    assert heard is not None
    assert heard.model is model


def test_a_first_binding_has_the_model_that_it_says_also_while_it_moves() -> None:
    heard = after(None, bound(3, "Moving", 3, isolationModel="silo"))

    assert heard is not None
    assert heard.model is SILO


@pytest.mark.parametrize(
    ("changes", "keeps"),
    [
        pytest.param({"model": SILO}, True, id="a-silo"),
        pytest.param({"model": SILO, "state": REMOVED}, False, id="that-is-gone"),
        pytest.param({"model": SHARED}, False, id="shared"),
    ],
)
def test_a_silo_keeps_its_environment_alone_while_anything_is_left(
    changes: dict[str, Any], *, keeps: bool
) -> None:
    assert isolation(**changes).keeps_alone is keeps


@pytest.mark.parametrize(
    ("failures", "minutes"),
    [
        pytest.param(0, 5, id="the-first"),
        pytest.param(1, 10, id="the-second"),
        pytest.param(3, 40, id="the-fourth"),
        pytest.param(4, 60, id="an-hour-at-most"),
        pytest.param(9000, 60, id="however-often"),
    ],
)
def test_each_failure_in_a_row_is_looked_at_later(failures: int, minutes: float) -> None:
    known = isolation(failures=failures, targets=(AKS,))

    after_it = failed(known, WHY, EPOCH, timedelta(minutes=5))

    assert after_it == replace(
        known, state=FAILED, reason=WHY, failures=failures + 1, due_at=at(minutes)
    )


def test_another_operation_that_makes_it_again_takes_the_fence() -> None:
    known = isolation(state=APPLIED, fence=4, targets=(AKS,))

    assert begun_again(known, "op-9") == replace(known, operation_id="op-9", fence=5, state=PENDING)


@pytest.mark.parametrize(
    ("changes", "is_made"),
    [
        pytest.param({"state": APPLIED}, True, id="in-force"),
        pytest.param({"state": FAILED, "status": Status.ENFORCED}, True,
                     id="failed-at-added-targets"),
        pytest.param({"state": FAILED, "status": Status.SUSPENDED}, True, id="while-suspended"),
        pytest.param({"state": FAILED, "status": Status.BOUND}, False, id="never-in-force"),
        pytest.param({"state": PENDING, "status": Status.ENFORCED}, False, id="at-work"),
        pytest.param({"state": REMOVED}, False, id="gone"),
    ],
)  # fmt: skip
def test_only_what_is_in_force_is_made_again(changes: dict[str, Any], *, is_made: bool) -> None:
    known = isolation(targets=(AKS,), due_at=at(60), **changes)

    after_it = to_be_made_again(known, EPOCH)

    assert after_it == (replace(known, targets=(), due_at=at(0)) if is_made else known)


def test_each_thing_told_has_the_next_number_and_the_revision_of_its_owner() -> None:
    known = isolation(told=4, owner_revision=7)

    assert with_next_told(known, 9) == replace(known, told=5, owner_revision=9)


def test_the_environment_shows_how_far_it_is() -> None:
    shown = isolation(state=FAILED, namespace="ns", identity="id", reason=WHY, asked=4).shown

    assert (shown.revision, shown.state, shown.reason) == (4, FAILED, WHY)
    assert (shown.binding_id, shown.namespace, shown.identity) == (
        isolation().binding_id, "ns", "id",
    )  # fmt: skip


def test_a_guest_is_a_tenant_in_the_environment_of_another() -> None:
    assert isolation(owner_tenant_id="globex").is_foreign
