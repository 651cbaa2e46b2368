"""A gate by a real Prometheus, over an hour that is known: it passes, fails, and knows nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest

from function_apps.health.activities.count_versions import count_versions
from function_apps.health.model import gates
from function_apps.health.model.gate_record import gate_evidence
from function_apps.health.model.gate_samples import Observation
from shared.contracts.gates import GateEvidence
from shared.kernel.clock import SystemClock, isoformat
from shared.metrics.prometheus import PrometheusMetrics
from shared.metrics.provider_client import ProviderClient
from tests.health.traffic import a_gate
from tests.kit.prometheus import SCRAPE, History, prometheus
from tests.kit.stores import HandClock
from tests.metrics.providers import COMPONENT
from tests.metrics.test_prometheus import ERRORS, LATENCY, REQUESTS

pytestmark = pytest.mark.real
__all__ = ["prometheus"]
QUERIES: Final = {
    "source": "prometheus",
    "requests": REQUESTS,
    "errors": f"{ERRORS} or 0 * {REQUESTS}",
    "latency": LATENCY,
}


async def evidence_at(history: History, began_at: datetime, **metrics: str) -> GateEvidence:
    """Look every 15 s of that hour at two versions that are ready, until there is a verdict."""
    clock = HandClock()
    clock.at = began_at
    gate = a_gate(
        metrics={**QUERIES, **metrics},
        askedAt=isoformat(began_at),
        deadlineAt=isoformat(began_at + timedelta(minutes=8)),
    )
    provider = PrometheusMetrics(ProviderClient(history.url, SystemClock()), scrape_interval=SCRAPE)
    app: Any = SimpleNamespace(
        metrics=lambda _source: provider, service=SimpleNamespace(clock=clock)
    )
    progress = gates.begin(gate, isoformat(clock.now()))
    while progress.verdict is None:
        clock.pass_by(15)
        counts = await count_versions(gate, progress, COMPONENT, app)
        seen = Observation(
            isoformat(clock.now()), counts.epoch, counts.candidate, counts.baseline,
            candidate_ready=True, baseline_ready=True,
            measured_at=counts.measured_at, unmeasured=counts.unmeasured,
        )  # fmt: skip
        progress = gates.judge(gate, progress, seen)
    return gate_evidence(gate, progress, clock.now())


@pytest.mark.parametrize(
    ("began_at", "verdict"),
    [
        pytest.param(lambda history: history.half_at, "Pass", id="as-well-as-the-old-one"),
        pytest.param(lambda history: history.turns_bad_at, "Fail", id="half-of-it-fails"),
        pytest.param(
            lambda history: history.began_at - timedelta(hours=1), "Inconclusive", id="no-series"
        ),
    ],
)
async def test_the_verdict_is_that_of_what_was_measured(
    prometheus: History, began_at: Callable[[History], datetime], verdict: str
) -> None:
    evidence = await evidence_at(prometheus, began_at(prometheus))

    assert evidence.verdict == verdict, evidence
    assert (evidence.unmeasured == ()) == (verdict != "Inconclusive")


async def test_an_inconclusive_names_the_query_as_it_was_asked(prometheus: History) -> None:
    evidence = await evidence_at(
        prometheus, prometheus.half_at, errors='sum(rate(no_such{a="{{component}}"}[{{window}}]))'
    )

    assert evidence.verdict == "Inconclusive"
    assert {(each.source, each.metric, each.revision) for each in evidence.unmeasured} == {
        ("prometheus", "errors", 1), ("prometheus", "errors", 2),
    }  # fmt: skip
    asked = evidence.unmeasured[0]
    assert asked.cause == "no series"
    assert asked.query.startswith('sum(rate(no_such{a="module-web"}[')
