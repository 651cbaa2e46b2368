"""The figures of one run of the timer: what was decided and why, and the numbers of instances."""

from collections.abc import Sequence

from function_apps.scaling.model.sample import Sample
from shared.telemetry.names import DIRECTION, KIND, REASON, SCALING_ACTIONS, SCALING_REPLICAS
from shared.telemetry.work import Telemetry


def record_figures(samples: Sequence[Sample], telemetry: Telemetry) -> None:
    """Count each of *samples*, and record the sums of what they want and what there was.

    One that could not be read is counted, and in no sum.
    """
    for sample in samples:
        attributes = {REASON: sample.reason.value, DIRECTION: _direction(sample)}
        telemetry.add(SCALING_ACTIONS, 1, attributes)
    for kind, numbers in (
        ("desired", [sample.desired for sample in samples]),
        ("actual", [sample.current for sample in samples]),
    ):
        telemetry.add(SCALING_REPLICAS, sum(number or 0 for number in numbers), {KIND: kind})


def _direction(sample: Sample) -> str:
    if sample.desired is None or sample.current is None or sample.desired == sample.current:
        return "none"
    return "up" if sample.desired > sample.current else "down"
