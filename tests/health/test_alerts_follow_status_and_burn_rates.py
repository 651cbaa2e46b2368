"""Which alerts of a service are raised and cleared, and since when its budget burns."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.health.model.alerts import (
    clear_alerts,
    clear_burn_alerts,
    is_burning,
    record_alerts,
)
from function_apps.health.model.burn_rates import Burn, burn_rules, burning_since, measure_burn
from function_apps.health.model.burn_samples import BurnSamples, CountedEvents, Events
from function_apps.health.model.probe_target import ProbeTarget
from shared.contracts.alerts import Alert, AlertChange, AlertState
from shared.contracts.health import HealthStatus, RootCause
from shared.contracts.values import ModuleId
from shared.kernel.clock import isoformat
from tests.health.burning import an_objective
from tests.kit import told
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH

LATER = EPOCH + timedelta(minutes=5)
EARLIER = isoformat(EPOCH - timedelta(hours=1))
HOUR, SIX_HOURS, DAY, THREE_DAYS = burn_rules(timedelta(days=30))
CAUSE = RootCause(
    service_id=told.service_of("module-db"),
    module_id=ModuleId("module-db"),
    status=HealthStatus.UNHEALTHY,
    since=EPOCH,
)


def a_service(status: HealthStatus = HealthStatus.HEALTHY, **changes: Any) -> ProbeTarget:
    made = ProbeTarget(
        told.service_of(), TENANT, told.ENVIRONMENT, told.WEB, "test", isoformat(EPOCH), ""
    )
    return replace(made, status=status, reason="2 of 2 fail", **changes)


def burns(fast: float | None = 0.0, slow: float | None = 0.0) -> list[Burn]:
    return [
        Burn(HOUR, fast, fast),
        Burn(SIX_HOURS, 0.0, 0.0),
        Burn(DAY, slow, slow),
        Burn(THREE_DAYS, 0.0, 0.0),
    ]


def changed(target: ProbeTarget, burns: list[Burn]) -> list[tuple[Alert, bool]]:
    _, changes = record_alerts(target, burns, LATER)
    return [(each.alert, each.cleared_at is not None) for each in changes]


def raised(*alerts: Alert) -> dict[str, AlertState]:
    return {each: AlertState(3, EARLIER) for each in alerts}


@pytest.mark.parametrize(
    ("status", "alert"),
    [
        (HealthStatus.UNHEALTHY, Alert.UNHEALTHY),
        (HealthStatus.DEGRADED, Alert.DEGRADED),
    ],
)
def test_a_service_that_is_not_healthy_raises_one_alert_and_clears_it_when_it_is(
    status: HealthStatus, alert: Alert
) -> None:
    bad, (change,) = record_alerts(a_service(status), burns(), LATER)
    well, (cleared,) = record_alerts(
        replace(bad, status=HealthStatus.HEALTHY), burns(), LATER + timedelta(hours=1)
    )

    evidence = f"{status} since {isoformat(EPOCH)}: 2 of 2 fail"
    assert change == AlertChange(alert, isoformat(LATER), (evidence,))
    assert bad.alerts == {alert: AlertState(1, isoformat(LATER))}
    assert changed(bad, burns()) == []
    an_hour_later = isoformat(LATER + timedelta(hours=1))
    assert (cleared.raised_at, cleared.cleared_at) == (isoformat(LATER), an_hour_later)
    assert well.alerts == {alert: AlertState(2)}


def test_a_failure_that_a_dependency_explains_raises_none_but_what_is_raised_stays() -> None:
    new = a_service(HealthStatus.UNHEALTHY, root_cause=CAUSE)
    known = replace(new, alerts=raised(Alert.UNHEALTHY))

    assert changed(new, burns(fast=20)) == []
    assert changed(known, burns(fast=20)) == []
    assert changed(replace(known, status=HealthStatus.HEALTHY), burns()) == [
        (Alert.UNHEALTHY, True)
    ]
    assert is_burning(new, burns(fast=20))


def test_of_a_service_that_is_unknown_nothing_is_raised_or_cleared() -> None:
    unknown = a_service(HealthStatus.UNKNOWN)

    assert changed(unknown, burns()) == []
    assert changed(replace(unknown, alerts=raised(Alert.UNHEALTHY, Alert.DEGRADED)), burns()) == []


def test_each_severity_of_burning_has_its_own_alert_with_the_rates_that_say_so() -> None:
    fast, (page,) = record_alerts(a_service(), burns(fast=20.04), LATER)
    _, (ticket,) = record_alerts(a_service(), burns(slow=3.5), LATER)

    assert (page.alert, ticket.alert) == (Alert.FAST_BURN, Alert.SLOW_BURN)
    assert page.evidence == (
        "burns 20.0 times its budget over 1 h and 20.0 times over 0.0833 h; the limit is 14.4",
        "burns 0.0 times its budget over 6 h and 0.0 times over 0.5 h; the limit is 6",
    )
    assert [text.split(" over ")[1] for text in ticket.evidence] == [
        "24 h and 3.5 times",
        "72 h and 0.0 times",
    ]
    assert changed(fast, burns(fast=14.0)) == []
    assert changed(fast, burns(fast=None)) == []
    assert changed(fast, burns()) == [(Alert.FAST_BURN, True)]
    assert is_burning(fast, burns(fast=14.0))
    assert not is_burning(a_service(), burns(fast=14.0))


def test_what_is_not_measured_is_no_evidence() -> None:
    half = [Burn(HOUR, 20.0, 20.0), Burn(SIX_HOURS, 9.0, None), Burn(SIX_HOURS, None, 9.0)]

    _, (page,) = record_alerts(a_service(), half, LATER)

    assert [text.split(";")[0] for text in page.evidence] == [
        "burns 20.0 times its budget over 1 h and 20.0 times over 0.0833 h"
    ]


def test_a_service_without_an_objective_has_no_alert_of_one_and_a_retired_one_none() -> None:
    both = a_service(
        HealthStatus.UNHEALTHY, alerts=raised(Alert.UNHEALTHY, Alert.FAST_BURN, Alert.SLOW_BURN)
    )

    without, of_burns = clear_burn_alerts(both, LATER)
    gone, of_all = clear_alerts(both, LATER)

    assert [each.alert for each in of_burns] == [Alert.FAST_BURN, Alert.SLOW_BURN]
    assert without.alerts[Alert.UNHEALTHY].raised_at == EARLIER
    assert [each.alert for each in of_all] == [
        Alert.UNHEALTHY,
        Alert.FAST_BURN,
        Alert.SLOW_BURN,
    ]
    times = {(each.raised_at, each.cleared_at) for each in (*of_burns, *of_all)}
    assert times == {(EARLIER, isoformat(LATER))}
    assert set(gone.alerts.values()) == {AlertState(4)}
    assert clear_alerts(a_service(), LATER) == (a_service(), [])


def test_a_burn_rate_is_over_from_its_factor_on_in_both_windows() -> None:
    assert Burn(HOUR, 14.4, 14.4).is_at(14.4)
    for long, short in ((14.3, 14.4), (14.4, 14.3), (None, 14.4), (14.4, None)):
        assert not Burn(HOUR, long, short).is_at(14.4)


def test_a_short_window_needs_a_twelfth_of_the_samples_and_one_at_least() -> None:
    windows = [rule.long for rule in burn_rules(timedelta(days=30))]
    one = BurnSamples(read_at=EPOCH).plus(Events(1, 1), windows, EPOCH + timedelta(seconds=30))
    at = EPOCH + timedelta(seconds=30)

    single = measure_burn(an_objective(minSamples=12), one, at)
    few = measure_burn(an_objective(minSamples=24), one, at)

    assert [each.short is not None for each in single] == [True] * 4
    assert [each.short is not None for each in few] == [False] * 4


def test_a_budget_burns_since_the_buckets_that_are_bad_without_a_pause() -> None:
    objective, minute = an_objective(), timedelta(minutes=1)
    samples = BurnSamples(read_at=EPOCH)
    # Half of 14.4 times the budget is 0.72 %: below it is before the outage.
    for number, bad in enumerate((9.0, 0.7, 0.8, 0.0, 100.0), start=1):
        events = Events(0.0 if number == 4 else 100.0, bad)
        samples = samples.plus(events, [HOUR.long], EPOCH + number * minute)
    now = EPOCH + 5 * minute

    since = burning_since(objective, burns(fast=20), samples, now)

    assert since == EPOCH + 2 * minute
    assert burning_since(objective, burns(), samples, now) == now
    assert burning_since(objective, burns(fast=20), BurnSamples(), now) == now


def test_a_counter_that_began_anew_has_counted_all_its_events_since() -> None:
    before = CountedEvents("one", {"1": Events(100, 10), "2": Events(50, 5)})

    def since(epoch: str, **revisions: Events) -> Events:
        now = {name.removeprefix("r"): events for name, events in revisions.items()}
        return CountedEvents(epoch, now).since(before)

    assert since("one", r1=Events(130, 14)) == Events(30, 4)
    assert since("one", r1=Events(130, 14), r3=Events(7, 1)) == Events(37, 5)
    assert since("one", r1=Events(90, 3)) == Events(90, 3)
    assert since("two", r1=Events(130, 14), r2=Events(51, 5)) == Events(181, 19)
    # What a histogram rounds is no good event that turned bad, nor the other way round.
    assert since("one", r1=Events(130, 9)) == Events(30, 0)
