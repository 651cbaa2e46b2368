"""A gate that reads a provider: its windows, and that nothing unmeasured ever passes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from function_apps.health.activities import ACTIVITIES
from function_apps.health.orchestrations import evaluate_gate
from shared.composition.parts import PartNotSupported
from shared.contracts.gates import EvaluateGate, GateEvidence, Verdict
from shared.contracts.metrics import Metric, MetricSource
from shared.kernel.clock import Clock, isoformat, parse_instant
from shared.metrics.port import (
    Measured,
    Measurement,
    Metrics,
    MetricsQuery,
    Missing,
    Resolution,
    Stale,
    Unmeasurable,
)
from shared.surfaces.traffic import Histogram
from tests.health.traffic import a_gate
from tests.health.watching import Health, health
from tests.kit.drive import DrivenContext, by_name, drive
from tests.kit.told import ENVIRONMENT, KEY, WEB, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual

GATE: Final = f"gate-{KEY}-{service_of().rsplit('-', 1)[1]}-{'0' * 16}-1-0"
QUERIES: Final = {
    name: f'{name}{{m="{{{{component}}}}",r="{{{{revision}}}}"}}[{{{{window}}}}]'
    for name in ("requests", "errors", "latency")
}
FAST: Final = Histogram((100.0, 1000.0), (1, 0, 0))
SLOW: Final = Histogram((100.0, 1000.0, 5000.0), (0, 0, 1, 0))


@dataclass
class Provider:
    """Measures 10 requests a second, with what *spoil* makes of some; it remembers its windows."""

    clock: Clock
    spoil: Callable[[MetricsQuery, datetime], Measurement | None] = lambda _query, _now: None
    error_ratio: float = 0.0
    latency: Histogram = FAST
    windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    resolution: Resolution = field(default_factory=Resolution)

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        self.windows.append((queries[0].since, queries[0].until))
        now = self.clock.now()
        return [self.spoil(each, now) or self._measured(each) for each in queries]

    def _measured(self, query: MetricsQuery) -> Measurement:
        requests = round(query.window.total_seconds() * 10)
        is_new = query.subject.revision == 2
        value: float | Histogram = float(requests)
        if query.metric is Metric.ERRORS:
            value = requests * (self.error_ratio if is_new else 0.0)
        elif query.metric is Metric.LATENCY:
            shape = self.latency if is_new else FAST
            value = Histogram(shape.bounds_ms, tuple(each * requests for each in shape.counts))
        return Measured(value, query.until, f"filled {query.text}")


def question(**changes: Any) -> EvaluateGate:
    return a_gate(
        **{
            "gateId": GATE, "deploymentId": f"dep-{KEY}-{'0' * 16}", "environmentId": ENVIRONMENT,
            "moduleId": WEB, "serviceId": service_of(), "probesCount": True,
            "probes": {"readiness": {"path": "/ready", "timeout": "PT2S"}},
            "metrics": {"source": "prometheus", **QUERIES}, **changes,
        }
    )  # fmt: skip


async def judged(
    made: Health, provider: Metrics | None, gate: EvaluateGate | None = None, **how: Any
) -> tuple[str, GateEvidence]:
    """Return the verdict of a gate that reads *provider*, and its evidence."""
    if provider is not None:
        object.__setattr__(made.app, "metrics", lambda _source: provider)
    await run(made.world, revision=1)
    await run(made.world, revision=2)
    await made.hear(gate or question())
    _, instance_id, argument = made.bench.starts.started.pop(0)
    context = DrivenContext(
        instance_id, argument, by_name(ACTIVITIES), made.app, made.app.service.clock,
        made.bench.starts, **how,
    )  # fmt: skip
    verdict = await drive(evaluate_gate, context)
    (told,) = made.told()
    return verdict, GateEvidence.model_validate(told["evidence"])


def verdict_of(
    spoil: Callable[[MetricsQuery, datetime], Measurement | None] = lambda _query, _now: None,
    gate: EvaluateGate | None = None,
    **how: Any,
) -> tuple[str, GateEvidence, Provider]:
    async def main() -> tuple[str, GateEvidence, Provider]:
        made = health()
        provider = Provider(made.app.service.clock, spoil, **how)
        verdict, evidence = await judged(made, provider, gate)
        return verdict, evidence, provider

    return run_virtual(main())


def test_a_release_that_is_measured_as_well_as_the_old_one_passes_by_whole_windows() -> None:
    verdict, evidence, provider = verdict_of()

    assert verdict == "Pass"
    assert evidence.unmeasured == ()
    assert evidence.candidate.requests == 10 * sum(
        (until - since).total_seconds() for since, until in provider.windows
    )
    assert evidence.baseline is not None
    assert evidence.baseline.requests == evidence.candidate.requests
    assert all(until - since >= timedelta(seconds=60) for since, until in provider.windows)
    for before, after in zip(provider.windows, provider.windows[1:], strict=False):
        assert before[1] == after[0]


@pytest.mark.parametrize(
    ("how", "measure"),
    [({"error_ratio": 0.2}, "errorRatio"), ({"latency": SLOW}, "latency")],
    ids=["errors", "latency"],
)
def test_a_release_that_is_measured_as_worse_fails(how: dict[str, Any], measure: str) -> None:
    verdict, evidence, _ = verdict_of(**how)

    assert verdict == "Fail"
    assert [each.measure for each in evidence.analyses if each.verdict is Verdict.FAIL] == [measure]


CAUSES: Final[dict[str, Measurement]] = {
    "missing": Missing("no series", "asked"),
    "stale": Stale("its newest value is 300 s old", EPOCH, "asked"),
    "unmeasurable": Unmeasurable("its value is NaN", "asked"),
}


@pytest.mark.parametrize("revision", [1, 2], ids=["old", "new"])
@pytest.mark.parametrize("metric", [Metric.REQUESTS, Metric.ERRORS, Metric.LATENCY])
@pytest.mark.parametrize("cause", CAUSES)
def test_one_figure_that_is_not_measured_keeps_a_gate_from_passing(
    cause: str, metric: Metric, revision: int
) -> None:
    def spoil(query: MetricsQuery, _now: datetime) -> Measurement | None:
        is_it = (query.metric, query.subject.revision) == (metric, revision)
        return CAUSES[cause] if is_it else None

    verdict, evidence, _ = verdict_of(spoil)

    assert verdict == "Inconclusive"
    (unmeasured,) = evidence.unmeasured
    assert (unmeasured.source, unmeasured.metric, unmeasured.revision) == (
        MetricSource.PROMETHEUS, metric, revision,
    )  # fmt: skip
    reason = getattr(CAUSES[cause], "reason", "")
    assert (unmeasured.query, unmeasured.cause) == ("asked", reason)
    assert any(
        each.reason == f"prometheus has not measured {metric} of revision {revision}: {reason}"
        for each in evidence.analyses
    )


def away_between(from_s: float, to_s: float) -> Callable[[MetricsQuery, datetime], Any]:
    def spoil(_query: MetricsQuery, now: datetime) -> Measurement | None:
        is_away = from_s <= (now - EPOCH).total_seconds() < to_s
        return Unmeasurable("no answer within 10 s") if is_away else None

    return spoil


def test_a_provider_that_comes_back_before_the_deadline_lets_the_gate_go_on() -> None:
    verdict, evidence, provider = verdict_of(away_between(0, 300))

    assert verdict == "Pass"
    assert evidence.unmeasured == ()
    # What could not be measured was asked for again, as one longer window.
    assert provider.windows[0][0] == provider.windows[5][0]


def test_what_was_never_measured_is_left_out_once_it_is_measured_again() -> None:
    gap = (EPOCH + timedelta(seconds=100), EPOCH + timedelta(seconds=190))

    def spoil(query: MetricsQuery, now: datetime) -> Measurement | None:
        if query.until <= gap[0] or query.since >= gap[1]:
            return None
        if now < gap[1]:
            return Stale("its newest value is old", gap[0], "asked")
        # The baseline is measured again some time later.
        since = gap[1] + timedelta(seconds=20 if query.subject.revision == 1 else 0)
        return Unmeasurable("a part of the window was not measured", "asked", since)

    verdict, evidence, provider = verdict_of(spoil)

    assert verdict == "Pass"
    assert evidence.unmeasured == ()
    assert any(since == gap[1] + timedelta(seconds=20) for since, _ in provider.windows)


def test_a_provider_that_goes_away_after_a_good_window_does_not_pass_by_it() -> None:
    verdict, evidence, _ = verdict_of(away_between(100, 10_000))

    assert verdict == "Inconclusive"
    assert evidence.candidate.requests > 50
    assert {each.cause for each in evidence.unmeasured} == {"no answer within 10 s"}


def test_probes_alone_do_not_pass_a_gate_whose_first_window_is_not_over() -> None:
    async def main() -> tuple[str, GateEvidence]:
        made = health()
        slow = Provider(
            made.app.service.clock, resolution=Resolution(window_least=timedelta(hours=1))
        )
        return await judged(made, slow)

    verdict, evidence = run_virtual(main())

    assert verdict == "Inconclusive"
    assert any("not measured a first window yet" in each.reason for each in evidence.analyses)


def test_a_source_that_is_not_set_up_is_named() -> None:
    async def main() -> tuple[str, GateEvidence]:
        made = health()

        def missing(_source: MetricSource) -> Metrics:
            raise PartNotSupported("RUNTIME_PROMETHEUS_URL is not set")

        object.__setattr__(made.app, "metrics", missing)
        return await judged(made, None)

    verdict, evidence = run_virtual(main())

    assert verdict == "Inconclusive"
    assert [each.cause for each in evidence.unmeasured] == ["RUNTIME_PROMETHEUS_URL is not set"]


@pytest.mark.parametrize(
    ("metric", "value", "cause"),
    [
        (Metric.ERRORS, 10_000.0, "errors of"),
        (Metric.LATENCY, Histogram((100.0,), (3, 0)), "its histogram has 3 of"),
    ],
    ids=["errors", "latency"],
)
def test_queries_that_are_not_about_the_same_requests_measure_nothing(
    metric: Metric, value: float | Histogram, cause: str
) -> None:
    def spoil(query: MetricsQuery, _now: datetime) -> Measurement | None:
        return Measured(value, query.until) if query.metric is metric else None

    verdict, evidence, _ = verdict_of(spoil)

    assert verdict == "Inconclusive"
    assert cause in evidence.unmeasured[0].cause


def test_without_a_query_latency_is_not_judged() -> None:
    without = {name: text for name, text in QUERIES.items() if name != "latency"}
    gate = question(metrics={"source": "prometheus", **without}, probesCount=False, stage="prod")

    verdict, evidence, _ = verdict_of(gate=gate, latency=SLOW)

    assert verdict == "Pass"
    assert "latency" not in [each.measure for each in evidence.analyses]


def test_every_activity_run_twice_changes_nothing() -> None:
    async def main(*, twice: bool) -> tuple[str, GateEvidence]:
        made = health()
        return await judged(made, Provider(made.app.service.clock), twice=twice)

    assert run_virtual(main(twice=True)) == run_virtual(main(twice=False))


def test_windows_begin_and_end_where_the_provider_has_its_grains() -> None:
    async def main() -> list[tuple[datetime, datetime]]:
        made = health()
        minute = timedelta(minutes=1)
        provider = Provider(
            made.app.service.clock, resolution=Resolution(delay=2 * minute, grain=minute)
        )
        await judged(made, provider)
        return provider.windows

    for since, until in run_virtual(main()):
        assert (since.second, until.second) == (0, 0)
        assert isoformat(since) < isoformat(until)
        assert parse_instant(isoformat(until)) == until
