"""Whatever happens to a service in whatever order, its status changes by the table only."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function_apps.catalog.model.history import Kind, Row
from function_apps.catalog.model.service import (
    Identity,
    RuntimeService,
    from_body,
    learn,
    observe,
    removal_row,
    to_body,
)
from function_apps.catalog.model.states import (
    TRANSITIONS,
    Observed,
    Released,
    Removed,
    ServiceEvent,
    Status,
    Unseen,
    status_after,
)
from shared.kernel.clock import EPOCH, isoformat

IDENTITY = Identity("svc-1", "acme", "proj-1", "env-1", "test", "module-web")


def release(revision: int, minute: int) -> tuple[ServiceEvent, Row]:
    at = isoformat(EPOCH + timedelta(minutes=minute))
    return Released(), Row(
        Kind.RELEASE, Status.RUNNING, "deployment", f"dep-{minute}", at, at, revision,
        f"dep-{minute}", {"replicas": 2},
    )  # fmt: skip


def removal(minute: int) -> tuple[ServiceEvent, Row]:
    at = isoformat(EPOCH + timedelta(minutes=minute))
    return Removed(), removal_row("deployment", f"del-{minute}", at, EPOCH)


OBSERVED = st.one_of(st.builds(Observed, st.integers(0, 2), st.just(2)), st.just(Unseen()))
TOLD = st.one_of(
    st.builds(release, st.integers(1, 4), st.integers(0, 20)),
    st.builds(removal, st.integers(0, 20)),
)


@given(st.lists(st.one_of(OBSERVED, TOLD), max_size=25))
@settings(max_examples=400)
def test_every_change_of_status_is_in_the_table(
    happened: list[ServiceEvent | tuple[ServiceEvent, Row]],
) -> None:
    service = RuntimeService(IDENTITY)
    for number, each in enumerate(happened):
        now = EPOCH + timedelta(minutes=number)
        if isinstance(each, tuple):
            event, change = each[0], learn(service, each[1])
        else:
            event, change = each, observe(service, each, (), now)
        after = change.service if change and change.service else service
        if service.status is not None and after.status is not service.status:
            assert after.status in TRANSITIONS[service.status][type(event)]
        assert after.revision >= service.revision
        assert from_body(to_body(after)) == after
        service = after


@pytest.mark.parametrize(
    ("event", "status"),
    [
        pytest.param(Observed(2, 2), Status.RUNNING, id="all-ready"),
        pytest.param(Observed(3, 2), Status.RUNNING, id="more-than-wanted"),
        pytest.param(Observed(1, 2), Status.DEGRADED, id="some-ready"),
        pytest.param(Observed(0, 2), Status.UNAVAILABLE, id="none-ready"),
        pytest.param(Unseen(), Status.UNKNOWN, id="not-seen-for-too-long"),
        pytest.param(Removed(), Status.RETIRED, id="taken-away"),
        pytest.param(Released(), Status.RUNNING, id="proved-by-a-deployment"),
    ],
)
def test_running_needs_a_healthy_instance(event: ServiceEvent, status: Status) -> None:
    assert status_after(event) is status


@pytest.mark.parametrize("event", [Observed(2, 2), Observed(0, 2), Unseen()])
def test_what_is_seen_of_a_retired_service_changes_nothing(event: ServiceEvent) -> None:
    service = RuntimeService(IDENTITY)
    for _, row in (release(1, 1), removal(2)):
        service = learn(service, row).service or service

    assert service.status is Status.RETIRED
    assert observe(service, event, (), EPOCH) is None
