"""Whatever happens to a service in whatever order, its status follows from the event."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function_apps.catalog.model.history import HistoryRow, RowKind
from function_apps.catalog.model.service import (
    RuntimeService,
    record_observation,
    record_row,
    removal_row,
)
from function_apps.catalog.model.status import (
    ObservationExpired,
    Observed,
    Released,
    Removed,
    ServiceEvent,
    status_after,
)
from function_apps.catalog.repository import SERVICES
from shared.contracts.catalog import ServiceStatus
from shared.kernel.clock import isoformat
from tests.kit.virtual_time import EPOCH

NEW = RuntimeService("svc-1", "acme", "proj-1", "env-1", "test", "module-web")


def release(revision: int, minute: int) -> tuple[ServiceEvent, HistoryRow]:
    at = isoformat(EPOCH + timedelta(minutes=minute))
    return Released(), HistoryRow(
        RowKind.RELEASE, ServiceStatus.RUNNING, "deployment", f"dep-{minute}", at, at, revision,
        f"dep-{minute}", {"replicas": 2},
    )  # fmt: skip


def removal(minute: int) -> tuple[ServiceEvent, HistoryRow]:
    at = isoformat(EPOCH + timedelta(minutes=minute))
    return Removed(), removal_row("deployment", f"del-{minute}", at, EPOCH)


OBSERVED = st.one_of(
    st.builds(Observed, st.integers(0, 2), st.just(2)), st.just(ObservationExpired())
)
TOLD = st.one_of(
    st.builds(release, st.integers(1, 4), st.integers(0, 20)),
    st.builds(removal, st.integers(0, 20)),
)


SEEN = {ServiceStatus.RUNNING, ServiceStatus.DEGRADED, ServiceStatus.UNAVAILABLE}
AFTER = {
    Released: {ServiceStatus.RUNNING},
    Observed: SEEN,
    ObservationExpired: {ServiceStatus.UNKNOWN},
    Removed: {ServiceStatus.RETIRED},
}
AFTER_RETIRED = {Released: {*SEEN, ServiceStatus.UNKNOWN}}
"""A release that is delivered late is followed by the observations since then."""


@pytest.mark.long
@given(st.lists(st.one_of(OBSERVED, TOLD), max_size=25))
@settings(max_examples=400)
def test_a_change_of_status_follows_from_the_event_and_only_a_release_brings_back(
    happened: list[ServiceEvent | tuple[ServiceEvent, HistoryRow]],
) -> None:
    service = NEW
    for number, each in enumerate(happened):
        now = EPOCH + timedelta(minutes=number)
        if isinstance(each, tuple):
            event, change = each[0], record_row(service, each[1])
        else:
            event, change = each, record_observation(service, each, (), now)
        after = change.service if change and change.service else service
        if service.status is not None and after.status is not service.status:
            is_retired = service.status is ServiceStatus.RETIRED
            assert after.status in (AFTER_RETIRED if is_retired else AFTER)[type(event)]
        assert after.revision >= service.revision
        assert SERVICES.decode(SERVICES.encode(after)) == after
        service = after


@pytest.mark.parametrize(
    ("event", "status"),
    [
        pytest.param(Observed(2, 2), ServiceStatus.RUNNING, id="all-ready"),
        pytest.param(Observed(3, 2), ServiceStatus.RUNNING, id="more-than-wanted"),
        pytest.param(Observed(1, 2), ServiceStatus.DEGRADED, id="some-ready"),
        pytest.param(Observed(0, 2), ServiceStatus.UNAVAILABLE, id="none-ready"),
        pytest.param(ObservationExpired(), ServiceStatus.UNKNOWN, id="not-seen-for-too-long"),
        pytest.param(Removed(), ServiceStatus.RETIRED, id="taken-away"),
        pytest.param(Released(), ServiceStatus.RUNNING, id="proved-by-a-deployment"),
    ],
)
def test_running_needs_a_healthy_instance(event: ServiceEvent, status: ServiceStatus) -> None:
    assert status_after(event) is status


@pytest.mark.parametrize("event", [Observed(2, 2), Observed(0, 2), ObservationExpired()])
def test_what_is_seen_of_a_retired_service_changes_nothing(event: ServiceEvent) -> None:
    service = NEW
    for _, row in (release(1, 1), removal(2)):
        service = record_row(service, row).service or service

    assert service.status is ServiceStatus.RETIRED
    assert record_observation(service, event, (), EPOCH) is None
