"""What an objective counts may be measured by a provider: each window once, none made up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from function_apps.health.ports import LOCAL_RULES, HealthRules
from function_apps.health.use_cases import queries
from function_apps.health.use_cases.ask_providers import MEASURE, ask_providers
from shared.contracts.health import ServiceObjective, SetObjective
from shared.contracts.metrics import Metric, MetricSource
from shared.contracts.validation import read
from shared.kernel.clock import Clock
from shared.kernel.errors import Invalid
from shared.metrics.port import (
    Measured,
    Measurement,
    Metrics,
    MetricsQuery,
    Missing,
    Resolution,
    Unmeasurable,
)
from shared.surfaces.traffic import Histogram
from tests.health.test_objectives_raise_alerts import alerts, put, watched
from tests.health.watching import Health
from tests.kit.told import WEB, component_of, service_of
from tests.kit.virtual_time import run_virtual

ASKED: Final = {
    "source": "prometheus",
    "requests": 'sum(increase(all{m="{{component}}"}[{{window}}]))',
    "errors": 'sum(increase(bad{m="{{component}}"}[{{window}}]))',
}
AVAILABLE: Final = {"sli": "availability", "objective": 0.99, "window": "P30D", "metrics": ASKED}
QUICK: Final = {
    "sli": "latency",
    "objective": 0.9,
    "window": "P30D",
    "latencyMsMax": 1000,
    "metrics": {**ASKED, "latency": 'sum by (le) (increase(t{m="{{component}}"}[{{window}}]))'},
}
Spoil = Callable[[MetricsQuery], Measurement | None]


@dataclass
class Provider:
    """Measures 10 requests a second, with what *spoil* makes of some."""

    clock: Clock
    error_ratio: float = 0.0
    slow_ratio: float = 0.0
    spoil: Spoil = lambda _: None
    takes_s: float = 0.0
    asked: list[MetricsQuery] = field(default_factory=list)
    resolution: Resolution = field(
        default_factory=lambda: Resolution(window_least=timedelta(seconds=60))
    )

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        self.asked += queries
        await self.clock.sleep(self.takes_s)
        return [self.spoil(each) or self._measured(each) for each in queries]

    def _measured(self, query: MetricsQuery) -> Measurement:
        requests = round(query.window.total_seconds() * 10)
        slow = round(requests * self.slow_ratio)
        value: float | Histogram = {
            Metric.REQUESTS: float(requests),
            Metric.ERRORS: requests * self.error_ratio,
            Metric.LATENCY: Histogram((1000.0, 5000.0), (requests - slow, slow, 0)),
        }[query.metric]
        return Measured(value, query.until)

    def windows(self) -> Sequence[tuple[datetime, datetime]]:
        return [(each.since, each.until) for each in self.asked if each.metric is Metric.REQUESTS]


async def measured(
    objective: Mapping[str, Any] = AVAILABLE, *, times: int = 10, **changes: Any
) -> tuple[Health, Provider]:
    """Return health and the provider of its objective, after *times* runs of the timer."""
    made = await watched(objective)
    provider = Provider(made.app.service.clock, **changes)

    def given(source: MetricSource) -> Metrics:
        assert source is MetricSource.PROMETHEUS
        return provider

    made.app = replace(made.app, metrics=given)
    await run_timer(made, times)
    return made, provider


async def run_timer(made: Health, times: int, *, after_s: float = 30.0) -> None:
    for _ in range(times):
        await made.app.service.clock.sleep(after_s)
        assert await ask_providers(made.app) == 1


async def shown(made: Health) -> ServiceObjective:
    return (await queries.get_objective(service_of(WEB), made.ctx, made.app))[0]


def test_its_windows_follow_each_other_and_each_is_counted_once() -> None:
    async def main() -> None:
        made, provider = await measured(error_ratio=0.02)
        windows = provider.windows()

        assert len(windows) == 4
        assert all(until - since == timedelta(seconds=60) for since, until in windows[1:])
        assert [since for since, _ in windows[1:]] == [until for _, until in windows[:-1]]
        assert provider.asked[0].subject.component == component_of(WEB)
        assert [each.long for each in (await shown(made)).burn] == [2.0, 2.0, 2.0, 2.0]

    run_virtual(main())


def test_latency_is_read_of_its_histogram() -> None:
    async def main() -> None:
        made, _ = await measured(QUICK, slow_ratio=0.2)

        rates = [each.long for each in (await shown(made)).burn]
        assert rates == pytest.approx([2.0] * 4, rel=0.1)

    run_virtual(main())


def test_what_it_measures_raises_the_alerts_of_the_objective() -> None:
    async def main() -> None:
        made, _ = await measured(error_ratio=0.5, times=60)
        await made.sweep()

        assert ("Raised", "ErrorBudgetBurnsFast") in [each[:2] for each in alerts(made)]

    run_virtual(main())


def test_the_proxy_of_the_surface_is_not_counted_besides() -> None:
    async def main() -> None:
        made, _ = await measured(error_ratio=0.02)
        made.world.requests_per_s = 1000
        before = await shown(made)
        await made.sweep()
        await made.sweep()

        assert [each.long for each in (await shown(made)).burn] == [
            each.long for each in before.burn
        ]

    run_virtual(main())


@pytest.mark.parametrize(
    "answer",
    [Missing("no series"), Unmeasurable("429, throttled"), Unmeasurable("two series")],
    ids=["missing", "throttled", "several"],
)
def test_what_is_not_measured_is_asked_again_with_what_came_after(answer: Measurement) -> None:
    async def main() -> None:
        made, provider = await measured(times=4)
        provider.spoil = lambda query: answer if query.metric is Metric.ERRORS else None
        counted_until = provider.windows()[-1][1]
        await run_timer(made, 6)
        said = (await shown(made)).unmeasured
        provider.spoil = lambda _: None
        await run_timer(made, 1)

        assert said == answer.reason  # type: ignore[union-attr]
        assert provider.windows()[-1][0] == counted_until
        assert (await shown(made)).unmeasured == ""

    run_virtual(main())


def test_a_gap_that_no_answer_will_fill_is_passed_over() -> None:
    async def main() -> None:
        made, provider = await measured(times=4)
        clock = made.app.service.clock
        resumed = clock.now() + timedelta(seconds=300)
        gap = Unmeasurable("a part was not measured", covered_since=resumed)
        provider.spoil = lambda query: gap if query.since < resumed else None
        await run_timer(made, 20)

        assert provider.windows()[-1][0] >= resumed
        assert (await shown(made)).unmeasured == ""

    run_virtual(main())


def test_a_provider_that_was_away_for_long_answers_for_an_hour() -> None:
    async def main() -> None:
        made, provider = await measured(times=4)
        await run_timer(made, 1, after_s=6 * 3600)

        since, until = provider.windows()[-1]
        assert until - since == timedelta(hours=1)

    run_virtual(main())


def test_what_it_answers_for_an_hour_is_counted_in_that_hour() -> None:
    """Spread over the whole absence, six hours' worth of it would outlast a burning hour."""

    async def main() -> None:
        made, provider = await measured(times=4)
        provider.error_ratio = 1.0
        await run_timer(made, 1, after_s=6 * 3600)
        provider.error_ratio = 0.0
        await run_timer(made, 60)

        assert (await shown(made)).burn[0].long == pytest.approx(50, rel=0.05)

    run_virtual(main())


def test_a_silent_provider_is_said_and_holds_up_no_run() -> None:
    async def main() -> None:
        made, _ = await measured(times=4, takes_s=10_000)
        began = made.app.service.clock.now()
        await run_timer(made, 1, after_s=0)

        assert made.app.service.clock.now() - began <= made.app.rules.measure_every
        assert (await shown(made)).unmeasured == "its provider did not answer within 10 s"

    run_virtual(main())


def test_a_provider_that_is_not_set_up_is_said() -> None:
    async def main() -> None:
        made = await watched(AVAILABLE)
        await run_timer(made, 1)

        assert "no provider prometheus" in (await shown(made)).unmeasured
        service = made.app.service
        assert MEASURE not in service.sweeps.failures(service.clock.now())

    run_virtual(main())


def test_another_query_counts_from_its_beginning() -> None:
    async def main() -> None:
        made, provider = await measured(error_ratio=0.5)
        other = {**ASKED, "errors": 'sum(increase(worse{m="{{component}}"}[{{window}}]))'}
        await put(made, {**AVAILABLE, "metrics": other})
        provider.error_ratio = 0.0
        await run_timer(made, 6)

        assert {each.long for each in (await shown(made)).burn} == {0.0}

    run_virtual(main())


def test_an_objective_that_the_proxy_counts_asks_nobody() -> None:
    async def main() -> None:
        made = await watched({"sli": "availability", "objective": 0.99, "window": "P30D"})

        assert await ask_providers(made.app) == 0

    run_virtual(main())


@pytest.mark.parametrize("rules", [HealthRules(), LOCAL_RULES], ids=["production", "local"])
def test_a_question_ends_before_the_run_that_asks_it(rules: HealthRules) -> None:
    assert rules.read_within < rules.measure_every


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"sli": "probes"}, "no metrics with probes", id="probes"),
        pytest.param({"metrics": QUICK["metrics"]}, "latency, and for it alone", id="histogram"),
        pytest.param(
            {"sli": "latency", "latencyMsMax": 100}, "latency, and for it alone", id="none"
        ),
        pytest.param(
            {"metrics": {**ASKED, "errors": 'bad{r="{{revision}}"}[{{window}}]'}},
            "no {{revision}}",
            id="one-release",
        ),
        pytest.param({"metrics": {**ASKED, "errors": "bad"}}, "{{window}}", id="no-window"),
    ],
)
def test_what_says_nothing_of_an_objective_is_refused(
    changes: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        read(SetObjective, {**AVAILABLE, **changes})

    assert said in str(refused.value.details)


def test_the_surface_as_source_is_the_proxy() -> None:
    objective = SetObjective.model_validate({**AVAILABLE, "metrics": {"source": "surface"}})

    assert objective.provider_metrics is None


def test_an_objective_without_a_provider_is_written_as_before() -> None:
    """An app of an earlier release reads it."""
    objective = SetObjective.model_validate({**AVAILABLE, "metrics": None})

    assert "metrics" not in objective.model_dump()
