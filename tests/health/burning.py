"""Traffic against an objective on virtual time, counted as the sweep counts it."""

import random  # noqa: TID251  a test's own seeded generator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from function_apps.health.model.burn_rates import burn_rules, is_raised, measure_burn
from function_apps.health.model.burn_samples import BurnSamples, Events
from shared.contracts.health import SetObjective
from shared.contracts.values import Severity
from tests.kit.virtual_time import EPOCH

SWEEP_S = 30.0


def an_objective(objective: float = 0.999, **changes: Any) -> SetObjective:
    return SetObjective.model_validate(
        {"sli": "availability", "objective": objective, "window": "P30D", **changes}
    )


@dataclass(frozen=True)
class Step:
    """One sweep: when, and which alerts are raised."""

    at: datetime
    page: bool
    ticket: bool


def serve(
    objective: SetObjective,
    error_ratio: Callable[[float], float],
    *,
    for_s: float,
    rate: float = 100.0,
    every_s: float = SWEEP_S,
    rng: random.Random | None = None,
) -> Iterator[Step]:
    """Serve *rate* requests a second after three good days, with the errors of *error_ratio*.

    Errors are exactly that share, or with *rng* drawn by chance.
    """
    windows = [rule.long for rule in burn_rules(objective.window)]
    samples = warm(rate, windows)
    raised = dict.fromkeys((Severity.CRITICAL, Severity.WARNING), False)
    for number in range(1, round(for_s / every_s) + 1):
        now, requests = EPOCH + timedelta(seconds=number * every_s), rate * every_s
        ratio = error_ratio((number - 0.5) * every_s)
        errors = requests * ratio if rng is None else drawn(rng, round(requests), ratio)
        samples = samples.plus(Events(requests, errors), windows, now)
        burns = measure_burn(objective, samples, now)
        raised = {
            severity: is_raised(burns, severity, was_raised=was) for severity, was in raised.items()
        }
        yield Step(now, raised[Severity.CRITICAL], raised[Severity.WARNING])


def warm(rate: float, windows: Sequence[timedelta]) -> BurnSamples:
    """Return three days of *rate* good requests a second, up to the epoch."""
    before = timedelta(days=3)
    good = Events(rate * before.total_seconds())
    return BurnSamples(read_at=EPOCH - before).plus(good, windows, EPOCH)


def drawn(rng: random.Random, trials: int, ratio: float) -> int:
    """Return how many of *trials* happen, each with the chance *ratio*."""
    mean = trials * ratio
    if mean > 20:
        spread = (mean * (1 - ratio)) ** 0.5
        return min(trials, max(0, round(rng.gauss(mean, spread))))
    return sum(rng.random() < ratio for _ in range(trials)) if ratio else 0
