"""The transition table of an environment, and that nothing else can happen."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.environments.model import environment as environments
from function_apps.environments.model import requests
from function_apps.environments.model.lifecycle import (
    TRANSITIONS,
    Applied,
    ApplyFailed,
    DecommissionRequested,
    Destroyed,
    DestroyFailed,
    Drained,
    EnvironmentEvent,
    PlanningBegan,
    ProvisioningBegan,
    RepairRequested,
    RequestRepeated,
    RetryRequested,
    State,
    UpdateRequested,
)
from function_apps.environments.repository import ENVIRONMENTS
from shared.contracts.values import Reason
from shared.kernel.transitions import TransitionRefused
from tests.environments.driven import a_request
from tests.kit.virtual_time import EPOCH

NO_QUOTA = Reason(code="QuotaExceeded", message="no quota")
SPEC = requests.spec_from(a_request())
EVENTS: list[EnvironmentEvent] = [
    RequestRepeated("op-2", SPEC, stage="test", region="westeurope"), RetryRequested("op-2", SPEC),
    PlanningBegan(), ProvisioningBegan(), UpdateRequested("op-2", SPEC), Applied((), {}),
    RepairRequested("op-2", SPEC),
    ApplyFailed(NO_QUOTA, ("urn:a",)), DecommissionRequested("op-2"), Drained(), Destroyed(),
    DestroyFailed(NO_QUOTA),
]  # fmt: skip
OUTSIDE = [
    pytest.param(state, event, id=f"{state}-{type(event).__name__}")
    for state in State
    for event in EVENTS
    if type(event) not in TRANSITIONS.rows[state]
]


def an_environment(state: State = State.REQUESTED) -> environments.RuntimeEnvironment:
    fresh = requests.new_environment(
        a_request(),
        environment_id="env-aaaaaaaaaaaa",
        tenant_id="acme",
        operation_id="op-1",
        trace_id="trace-1",
        now=EPOCH,
    )
    return replace(fresh, status=state)


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS.rows) == set(State)


@pytest.mark.parametrize(("state", "event"), OUTSIDE)
def test_an_event_outside_the_table_is_refused_and_names_the_states_that_allow_it(
    state: State, event: EnvironmentEvent
) -> None:
    with pytest.raises(TransitionRefused) as refused:
        environments.evolve(an_environment(state), event, EPOCH)

    for allowed, row in TRANSITIONS.rows.items():
        assert (allowed.value in refused.value.message.split("allowed in: ")[1]) == (
            type(event) in row
        )


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_each_change_is_one_revision_later_and_survives_its_encoding(
    events: list[EnvironmentEvent],
) -> None:
    environment, changes = an_environment(), 0
    for event in events:
        try:
            environment = environments.evolve(
                environment, event, EPOCH + timedelta(seconds=changes)
            )
        except TransitionRefused:
            continue
        changes += 1

    assert environment.revision == 1 + changes
    assert ENVIRONMENTS.decode(ENVIRONMENTS.encode(environment)) == environment


def test_a_failed_update_leaves_the_environment_provisioned_and_says_so() -> None:
    after = environments.evolve(an_environment(State.UPDATING), ApplyFailed(NO_QUOTA), EPOCH)

    assert after.status is State.PROVISIONED
    assert (after.last_update, after.reason) == ("Failed", NO_QUOTA)
