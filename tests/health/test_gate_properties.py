"""What holds of every gate, whatever the traffic."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from function_apps.health.model import gates
from function_apps.health.model.gate_record import gate_evidence
from function_apps.health.model.gate_samples import Counts, Observation, Progress
from shared.contracts.gates import GateEvidence, Verdict
from shared.kernel.clock import isoformat, parse_instant
from tests.health.traffic import a_gate
from tests.kit.virtual_time import EPOCH

GATE = a_gate()
BUCKETS = st.dictionaries(st.sampled_from(["20", "40", "45", "60"]), st.integers(1, 60), max_size=3)


@st.composite
def increments(draw: st.DrawFn, *, baseline: bool = False) -> Counts:
    latency = draw(BUCKETS)
    requests = sum(latency.values())
    errors_max = requests // 100 if baseline else requests
    return Counts(requests, draw(st.integers(0, errors_max)), latency)


STEPS = st.lists(
    st.tuples(increments(), increments(baseline=True), st.booleans()), min_size=1, max_size=30
)
Steps = list[tuple[Counts, Counts, bool]]


def observations(
    steps: Steps, *, restarts: frozenset[int] = frozenset(), extra_errors: int = 0
) -> list[Observation]:
    """Return looks every 20 s; at *restarts* the traffic layer begins to count anew."""
    candidate, baseline, epoch, found = Counts(), Counts(), 0, []
    found.append(Observation(isoformat(EPOCH), "epoch-0", candidate, baseline))
    for number, (new, old, is_ready) in enumerate(steps):
        if number in restarts:
            candidate, baseline, epoch = Counts(), Counts(), epoch + 1
        more = min(new.requests, new.errors + extra_errors)
        candidate, baseline = candidate.plus(replace(new, errors=more)), baseline.plus(old)
        at = isoformat(EPOCH + timedelta(seconds=20 * (number + 1)))
        found.append(
            Observation(
                at, f"epoch-{epoch}", candidate, baseline,
                candidate_ready=is_ready, baseline_ready=True,
            )
        )  # fmt: skip
    return found


def judged(seen: list[Observation]) -> Progress:
    progress = gates.begin(GATE, isoformat(EPOCH))
    for each in seen:
        progress = gates.judge(GATE, progress, each)
    return progress


def told(seen: list[Observation]) -> GateEvidence:
    return gate_evidence(GATE, judged(seen), parse_instant(seen[-1].at))


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_the_same_evidence_gives_the_same_verdict(steps: Steps) -> None:
    assert told(observations(steps)) == told(observations(steps))


@given(STEPS, st.frozensets(st.integers(0, 29), max_size=4))
@settings(max_examples=150, deadline=None)
def test_a_restart_of_the_traffic_layer_costs_the_requests_since_the_last_look_and_no_more(
    steps: Steps, restarts: frozenset[int]
) -> None:
    ready = [(new, old, True) for new, old, _ in steps]
    quiet = [
        (Counts(), Counts(), True) if number in restarts else step
        for number, step in enumerate(ready)
    ]

    assert told(observations(ready, restarts=restarts)) == told(observations(quiet))


@given(STEPS, st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_more_errors_never_turn_a_fail_into_a_pass(steps: Steps, extra: int) -> None:
    before = judged(observations(steps)).verdict
    after = judged(observations(steps, extra_errors=extra)).verdict

    assert not (before is Verdict.FAIL and after is Verdict.PASS)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_what_was_there_before_the_gate_does_not_count(steps: Steps) -> None:
    seen = observations(steps)
    past = Counts(10_000, 5_000, {"60": 10_000})
    later = [replace(each, candidate=(each.candidate or Counts()).plus(past)) for each in seen]

    assert told(later) == told(seen)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_looks_that_saw_nothing_never_make_a_pass(steps: Steps) -> None:
    blind = [replace(each, problem="away") for each in observations(steps)]

    assert judged(blind).verdict in {None, Verdict.INCONCLUSIVE}


@given(STEPS, st.integers(0, 29))
@settings(max_examples=100, deadline=None)
def test_the_same_look_twice_counts_once(steps: Steps, twice: int) -> None:
    seen = observations(steps)
    place = min(twice, len(seen) - 1)
    again = [*seen[: place + 1], seen[place], *seen[place + 1 :]]

    assert judged(again).total == judged(seen).total
