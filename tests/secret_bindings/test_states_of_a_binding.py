"""A binding: what a repeat changes, where two stand in one place, what it remembers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from function_apps.secret_bindings.errors import (
    BindingExists,
    BindingsFull,
    TargetTaken,
    TenantSuspended,
)
from function_apps.secret_bindings.model.binding import (
    BINDINGS_MAX,
    REASON_MAX,
    Binding,
    FoundVersion,
    State,
    bind,
    differences,
    fail,
    move,
    new_binding,
    request,
    require_place,
    revoke,
)
from function_apps.secret_bindings.model.tenant import (
    TenantProjection,
    on_tenant_event,
    require_not_suspended,
)
from shared.contracts.secret_bindings import BindSecret, Generator, GeneratorKind, RotationPolicy
from shared.contracts.tenants import TenantBindingStatus
from shared.contracts.values import SecretDelivery
from shared.kernel.clock import isoformat
from tests.kit.told import ENVIRONMENT, WEB

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def command(**changes: Any) -> BindSecret:
    return BindSecret.model_validate(
        {
            "environmentId": ENVIRONMENT,
            "moduleId": WEB,
            "secretName": "db",
            "external": False,
            "generator": {"kind": "random"},
            "delivery": "environmentVariable",
            "target": "DB",
            **changes,
        }
    )


def fresh(**changes: Any) -> Binding:
    made = new_binding(
        command(), "b-1", tenant_id="tenant", vault_uri="https://vault", secret="s",
        operation_id="op-1", now=NOW,
    )  # fmt: skip
    return replace(made, **changes)


def bound(**changes: Any) -> Binding:
    return replace(bind(fresh(), FoundVersion("1"), NOW), **changes)


def test_the_first_request_and_its_repeat_are_one_binding() -> None:
    assert request(None, fresh(), is_pending=False) == fresh()
    assert request(fresh(), fresh(operation_id="op-2"), is_pending=True) == fresh()
    known = bound()
    assert request(known, fresh(), is_pending=False) is known


@pytest.mark.parametrize("status", [State.REVOKED, State.FAILED])
def test_one_that_ended_is_bound_again_with_whatever_content(status: State) -> None:
    known = bound(status=status, revision=4, created_at="before")

    again = request(known, fresh(target="OTHER"), is_pending=False)

    assert (again.status, again.revision, again.created_at) == (State.REQUESTED, 5, "before")
    assert (again.target, again.version) == ("OTHER", None)


def test_one_whose_work_nobody_does_any_more_is_tried_again() -> None:
    again = request(fresh(), fresh(target="OTHER"), is_pending=False)

    assert (again.target, again.revision) == ("OTHER", 2)
    with pytest.raises(BindingExists):
        request(fresh(), fresh(target="OTHER"), is_pending=True)


@pytest.mark.parametrize(
    ("field", "asked", "target", "shown"),
    [
        ("vault_uri", "https://other", "/vaultUri", ("https://vault", "https://other")),
        ("external", True, "/external", ("False", "True")),
        ("generator", None, "/generator", ('{"kind":"random"}', "nothing")),
        (
            "generator", Generator(kind=GeneratorKind.RANDOM, length=20), "/generator",
            ('{"kind":"random"}', '{"kind":"random","length":20}'),
        ),
        ("delivery", SecretDelivery.FILE, "/delivery", ("environmentVariable", "file")),
        ("target", "x" * 90, "/target", ("DB", "x" * 80)),
        ("rotation", RotationPolicy(canary=False), "/rotation", ("{}", '{"canary":false}')),
    ],
)  # fmt: skip
def test_what_differs_from_an_active_one_is_named_and_shown(
    field: str, asked: object, target: str, shown: tuple[str, str]
) -> None:
    [found] = differences(bound(), fresh(**{field: asked}))

    assert (found.code, found.target) == ("Differs", target)
    assert (found.expected, found.received) == shown
    known = bound(secret_name="inv-key")
    with pytest.raises(BindingExists, match=f"^inv-key is bound to {known.module_id} already"):
        request(known, fresh(**{field: asked}), is_pending=False)


def test_a_place_of_a_module_has_one_secret() -> None:
    file = fresh(binding_id="b-2", delivery=SecretDelivery.FILE, secret_name="inv-key")
    reference = fresh(binding_id="b-2", delivery=SecretDelivery.REFERENCE)

    require_place(fresh(), [fresh(), reference, fresh(binding_id="b-2", target="OTHER")])
    require_place(reference, [fresh()])
    with pytest.raises(TargetTaken, match="is given inv-key as DB, by b-2"):
        require_place(fresh(), [file])


def test_a_module_has_so_many_bindings() -> None:
    others = [fresh(binding_id=f"o-{each}", target=f"T{each}") for each in range(BINDINGS_MAX)]

    require_place(fresh(), [fresh(), *others[1:]])
    with pytest.raises(BindingsFull):
        require_place(fresh(), others)


def test_a_version_is_remembered_with_its_end_and_the_time_of_the_next() -> None:
    known = bind(fresh(rotation=RotationPolicy(every=WEEK)), FoundVersion("1", "later"), NOW)

    assert (known.status, known.revision) == (State.BOUND, 2)
    assert (known.version, known.expires_at) == ("1", "later")
    assert (known.rotated_at, known.due_at) == (isoformat(NOW), isoformat(NOW + WEEK))
    moved = move(known, FoundVersion("2"), NOW + WEEK)
    assert (moved.version, moved.expires_at, moved.revision) == ("2", None, 3)
    assert (moved.rotated_at, moved.due_at) == (isoformat(NOW + WEEK), isoformat(NOW + 2 * WEEK))
    assert bound().due_at is None


def test_a_revoked_one_is_due_no_more() -> None:
    known = bound(due_at="soon")

    after = revoke(known, "r" * (REASON_MAX + 1))

    assert (after.status, after.due_at, after.revision) == (State.REVOKED, None, 3)
    assert after.reason == "r" * REASON_MAX
    assert not after.is_active
    assert known.is_active
    assert revoke(after, "again") is after


def test_only_the_work_that_it_waits_for_fails_it() -> None:
    failed = fail(fresh(), "op-1", "VaultAway", "no answer")

    assert (failed.status, failed.revision, failed.reason) == (
        State.FAILED, 2, "VaultAway: no answer",
    )  # fmt: skip
    assert len(fail(fresh(), "op-1", "C", "m" * 2 * REASON_MAX).reason) == REASON_MAX
    assert fail(fresh(), "op-0", "C", "m") == fresh()
    known = bound()
    assert fail(known, "op-1", "C", "m") is known


def test_only_a_newer_event_of_a_tenant_is_taken() -> None:
    known = TenantProjection("env", 3, TenantBindingStatus.BOUND, None)
    other = replace(known, identity="x")

    assert on_tenant_event(None, known) is known
    assert on_tenant_event(known, other) is None
    assert on_tenant_event(known, replace(other, revision=2)) is None
    assert on_tenant_event(known, replace(other, revision=4)) == replace(other, revision=4)


def test_a_suspended_tenant_is_given_nothing() -> None:
    active = TenantProjection("env-7", 3, TenantBindingStatus.BOUND, None)

    require_not_suspended(None, is_foreign=True)
    require_not_suspended(active, is_foreign=True)
    with pytest.raises(TenantSuspended) as refused:
        require_not_suspended(
            replace(active, status=TenantBindingStatus.SUSPENDED), is_foreign=False
        )
    assert "env-7" in refused.value.message
