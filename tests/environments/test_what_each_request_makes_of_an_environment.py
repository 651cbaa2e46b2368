"""What each request makes of an environment that is known, and what its outcome keeps of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.environments.errors import (
    ConfirmationMissing,
    DataResourceUnknown,
    EnvironmentExists,
    RetainDiffers,
    SiloNotAlone,
    TenantsBound,
)
from function_apps.environments.model.environment import (
    REMAINING_MAX,
    RuntimeEnvironment,
    evolve,
    failure,
    require_alone,
    with_next_fence,
)
from function_apps.environments.model.lifecycle import (
    Applied,
    ApplyFailed,
    DecommissionRequested,
    Destroyed,
    DestroyFailed,
    State,
)
from function_apps.environments.model.prod_change import prod_change
from function_apps.environments.model.requests import (
    decommission,
    differences,
    may_delete_data,
    new_environment,
    repair,
    request,
    spec_from,
    update,
)
from shared.contracts.environments import (
    ComputeTarget,
    DataResourceSpec,
    DecommissionEnvironment,
    UpdateEnvironment,
    UpdateOutcome,
)
from shared.contracts.values import ComputeTargetKind, IsolationModel, Reason
from shared.kernel.clock import isoformat
from shared.kernel.transitions import TransitionRefused
from tests.environments.driven import CONTENT, a_request
from tests.kit.virtual_time import EPOCH

LATER = EPOCH + timedelta(hours=1)
WHY = Reason(code="QuotaExceeded", message="no quota")
DATA = [{"kind": "LocalFolder", "name": name} for name in ("files", "mails")]
TARGET = ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS)


def asked_for(operation: str = "op-1", **changes: Any) -> RuntimeEnvironment:
    return new_environment(
        a_request(**changes),
        environment_id="env-aaaaaaaaaaaa",
        tenant_id="acme",
        operation_id=operation,
        trace_id="trace-1",
        now=EPOCH,
    )


def known(state: State = State.PROVISIONED, **changes: Any) -> RuntimeEnvironment:
    fresh = asked_for(dataResources=DATA)
    return replace(fresh, status=state, applied=fresh.spec, targets=(TARGET,), **changes)


def an_update(**changes: Any) -> UpdateEnvironment:
    named = {"environmentId": "env-aaaaaaaaaaaa", **CONTENT, "dataResources": DATA}
    return UpdateEnvironment.model_validate({**named, **changes})


def taken_down(of: RuntimeEnvironment, **changes: Any) -> RuntimeEnvironment:
    command = DecommissionEnvironment.model_validate(
        {"environmentId": of.environment_id, **changes}
    )
    return decommission(of, command, operation_id="op-2", now=LATER)


def test_a_new_environment_is_as_it_was_asked_for() -> None:
    fresh = asked_for(dataResources=DATA, tags={"a": "b"}, protected=True)

    assert (fresh.status, fresh.revision, fresh.generation, fresh.fence) == (
        State.REQUESTED, 1, 1, 1,
    )  # fmt: skip
    assert (fresh.project_id, fresh.name, fresh.stage, fresh.region) == (
        "proj-web", "shop", "test", "westeurope",
    )  # fmt: skip
    assert (fresh.created_at, fresh.updated_at) == (isoformat(EPOCH), isoformat(EPOCH))
    assert [each.name for each in fresh.spec.data_resources] == ["files", "mails"]
    assert (fresh.spec.tags, fresh.spec.protected) == ({"a": "b"}, True)
    assert request(None, fresh, LATER) is fresh
    with pytest.raises(DataResourceUnknown):
        request(None, asked_for(deleteData=["files"]), LATER)


def test_the_same_request_again_changes_nothing_and_another_is_refused_by_field() -> None:
    active = known()

    assert request(active, asked_for(dataResources=DATA), LATER) is active
    with pytest.raises(EnvironmentExists):
        request(active, asked_for(), LATER)
    with pytest.raises(TransitionRefused):
        request(known(State.DECOMMISSIONING), asked_for(dataResources=DATA), LATER)


def test_each_field_in_which_a_request_differs_is_named_with_both_values() -> None:
    other = spec_from(
        a_request(
            isolationModel="silo", computeTargets=[{"kind": "AKS"}], protected=True,
            tags={"a": "b"}, admits=["globex"],
        )
    )  # fmt: skip

    found = differences(known(), other, stage="prod", region="northeurope")

    assert [each.target for each in found] == [
        "/stage", "/region", "/isolationModel", "/computeTargets", "/dataResources",
        "/protected", "/tags", "/admits",
    ]  # fmt: skip
    assert all(each.code == "Differs" for each in found)
    assert (found[1].expected, found[1].received) == ('"westeurope"', '"northeurope"')


def test_one_that_failed_is_tried_again_with_other_content_but_not_elsewhere() -> None:
    broken = known(State.FAILED, reason=WHY)

    again = request(broken, asked_for("op-2", dataResources=DATA, tags={"a": "b"}), LATER)

    assert (again.status, again.operation_id, again.reason) == (State.PLANNING, "op-2", None)
    assert (again.spec.tags, again.generation, again.fence) == ({"a": "b"}, 1, 2)
    with pytest.raises(EnvironmentExists):
        request(broken, asked_for("op-2", region="northeurope"), LATER)


def test_one_that_is_gone_becomes_a_new_generation_which_keeps_what_was_retained() -> None:
    kept = DataResourceSpec.model_validate(DATA[0])
    gone = known(
        State.DECOMMISSIONED, decommissioned_at=isoformat(EPOCH), retained=(kept,), drained=True,
        retain=("files",), last_update=UpdateOutcome.FAILED, remaining=("urn:a",),
    )  # fmt: skip

    again = request(gone, asked_for("op-2", stage="dev", region="northeurope"), LATER)

    assert (again.status, again.generation, again.stage, again.region) == (
        State.REQUESTED, 2, "dev", "northeurope",
    )  # fmt: skip
    assert again.retained == (kept,)
    assert (again.applied, again.decommissioned_at, again.last_update) == (None, None, None)
    assert (again.remaining, again.retain, again.drained) == ((), (), False)


def test_an_update_that_is_on_its_way_already_is_no_other() -> None:
    updated = update(known(), an_update(tags={"a": "b"}), operation_id="op-2", now=LATER)

    assert (updated.status, updated.operation_id, updated.superseded) == (
        State.UPDATING, "op-2", None,
    )  # fmt: skip
    assert updated.spec.tags == {"a": "b"}
    assert update(updated, an_update(tags={"a": "b"}), operation_id="op-3", now=LATER) is updated
    with pytest.raises(DataResourceUnknown):
        update(known(), an_update(deleteData=["other"]), operation_id="op-2", now=LATER)


def test_a_repair_applies_once_more_what_is_in_force() -> None:
    half = replace(known(), spec=asked_for().spec)

    mending = repair(half, operation_id="op-2", now=LATER)

    assert half.applied is not None
    assert (mending.status, mending.is_repair, mending.spec) == (State.UPDATING, True, half.applied)
    assert repair(mending, operation_id="op-3", now=LATER) is mending
    with pytest.raises(TransitionRefused):
        repair(known(State.FAILED), operation_id="op-2", now=LATER)


def test_data_that_is_left_out_or_changed_may_be_deleted() -> None:
    active = known()
    changed = [{**DATA[0], "settings": {"a": "b"}}, DATA[1]]

    def after(**changes: Any) -> RuntimeEnvironment:
        return replace(active, spec=spec_from(an_update(**changes)))

    assert not may_delete_data(active, after())
    assert may_delete_data(active, after(dataResources=DATA[:1]))
    assert may_delete_data(active, after(dataResources=changed))


def test_an_environment_with_data_in_prod_or_protected_goes_by_its_name_only() -> None:
    protected = replace(known(), spec=asked_for(protected=True).spec)
    for guarded in (known(), known(stage="prod"), protected):
        with pytest.raises(ConfirmationMissing):
            taken_down(guarded, retain=["files"])
        with pytest.raises(ConfirmationMissing):
            taken_down(guarded, retain=["files"], confirm="other")
        assert taken_down(guarded, retain=["files"], confirm="shop").retain == ("files",)
    assert taken_down(known(), retain=["files", "mails"]).status is State.DECOMMISSIONING
    with pytest.raises(ConfirmationMissing):
        taken_down(known(), retain=["files", "mails"], confirm="other")


def test_what_one_try_retained_every_later_one_retains() -> None:
    failed = known(State.DECOMMISSION_FAILED, retain=("files",))

    again = taken_down(failed, retain=["mails"])

    assert (again.retain, again.operation_id) == (("files", "mails"), "op-2")
    assert taken_down(again, retain=["mails"]) is again
    with pytest.raises(RetainDiffers):
        taken_down(replace(again, retain=("files",)), retain=["mails"])
    with pytest.raises(DataResourceUnknown):
        taken_down(known(), retain=["other"])
    with pytest.raises(TenantsBound):
        taken_down(known(bound=("tb-1",)), retain=["files", "mails"])


def test_what_was_applied_is_in_force_and_clears_what_remained() -> None:
    updating = known(State.UPDATING, remaining=("urn:a",), deletes=("mails",), reason=WHY)
    updating = replace(updating, spec=asked_for().spec)

    done = evolve(updating, Applied((TARGET,), {"url": "x"}), LATER)

    assert (done.status, done.applied, done.last_update) == (
        State.PROVISIONED, updating.spec, UpdateOutcome.SUCCEEDED,
    )  # fmt: skip
    assert (done.outputs, done.remaining, done.deletes, done.reason) == ({"url": "x"}, (), (), None)
    first = evolve(known(State.PROVISIONING), Applied((TARGET,), {}), LATER)
    assert first.last_update is None


def test_of_what_remained_as_many_are_named_as_an_event_carries() -> None:
    most = tuple(f"urn:{number}" for number in range(REMAINING_MAX))
    more = (*most, "urn:last", "urn:more")

    def remaining(names: tuple[str, ...]) -> tuple[str, ...]:
        return evolve(known(State.UPDATING), ApplyFailed(WHY, names), LATER).remaining

    assert remaining(most) == most
    assert remaining(more) == (*most[:-1], "and 3 more")
    stuck = evolve(known(State.DECOMMISSIONING), DestroyFailed(WHY, ("urn:a",)), LATER)
    assert (stuck.status, stuck.reason, stuck.remaining) == (
        State.DECOMMISSION_FAILED, WHY, ("urn:a",),
    )  # fmt: skip


def test_one_without_targets_is_drained_when_it_is_to_go() -> None:
    asked = DecommissionRequested("op-2", ("files",))

    assert evolve(known(State.FAILED), asked, LATER).drained is False
    assert evolve(replace(known(State.FAILED), targets=()), asked, LATER).drained is True
    assert evolve(known(State.UPDATING), asked, LATER).superseded == "op-1"
    assert evolve(known(State.FAILED), asked, LATER).superseded is None


def test_of_one_that_is_gone_nothing_stays_but_what_was_retained() -> None:
    going = known(State.DECOMMISSIONING, outputs={"url": "x"}, silo_bound=True)

    gone = evolve(going, Destroyed(("urn:pulumi::stack::kind::other",)), LATER)

    assert (gone.targets, gone.outputs, gone.isolation, gone.silo_bound) == ((), {}, (), False)
    assert (gone.decommissioned_at, gone.retained) == (isoformat(LATER), ())
    assert gone.remaining == ("urn:pulumi::stack::kind::other",)


def test_the_end_of_an_operation_that_failed_is_that_of_what_it_did() -> None:
    assert failure(known(State.DECOMMISSIONING), WHY, ["a"]) == DestroyFailed(WHY, ("a",))
    assert failure(known(State.UPDATING), WHY, ["a"]) == ApplyFailed(WHY, ("a",))


def test_a_silo_has_no_other_tenant() -> None:
    silo = replace(known(), silo_bound=True)

    assert require_alone(silo) is silo
    with pytest.raises(SiloNotAlone):
        require_alone(replace(silo, bound=("tb-1",)))
    assert require_alone(replace(known(), bound=("tb-1",))).is_silo is False
    own = replace(known(), applied=replace(known().spec, isolation_model=IsolationModel.SILO))
    assert own.is_silo
    assert with_next_fence(silo) == replace(silo, fence=2)


def test_only_of_prod_the_operators_policy_is_asked() -> None:
    prod = known(stage="prod")

    change = prod_change("provision", prod)

    assert prod_change("provision", known()) is None
    assert change is not None
    assert (change.action, change.environment_id) == ("provision", prod.environment_id)
    assert (change.region, change.data_resources) == ("westeurope", prod.spec.data_resources)
    assert (change.isolation_model, change.compute_targets, change.admits) == (
        prod.spec.isolation_model, prod.spec.compute_targets, prod.spec.admits,
    )  # fmt: skip
