"""How many instances a signal asks for: the examples of Kubernetes' documentation, and its rules.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
"""

import pytest

from function_apps.scaling.model.replica_ratio import InstanceUse, for_level, for_total, for_use

TOLERANCE = 0.1


def uses(*percents: float | None, unready: int = 0) -> list[InstanceUse]:
    ready = [InstanceUse(each) for each in percents]
    return [*ready, *[InstanceUse(100.0, is_ready=False)] * unready]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        pytest.param(200, 8, id="twice-the-target-doubles"),
        pytest.param(50, 2, id="half-the-target-halves"),
        pytest.param(109, 4, id="within-the-tolerance-stays"),
        pytest.param(110, 4, id="a-tie-with-the-tolerance-stays"),
        pytest.param(91, 4, id="within-the-tolerance-below-stays"),
        pytest.param(111, 5, id="beyond-the-tolerance-is-rounded-up"),
        pytest.param(0, 0, id="no-use-asks-for-none"),
    ],
)
def test_the_number_follows_the_ratio_of_value_and_target(value: float, wanted: int) -> None:
    assert for_use(uses(*[value] * 4), 100, 4, TOLERANCE) == wanted


def test_fifty_instances_at_90_percent_of_75_become_sixty() -> None:
    assert for_use(uses(*[90] * 50), 75, 50, TOLERANCE) == 60


def test_an_instance_without_a_value_uses_all_of_it_when_the_number_would_be_lowered() -> None:
    # Alone the known ones ask for 1; with the missing one at 100 % the average is 60 %.
    assert for_use(uses(40, 40, None), 100, 3, TOLERANCE) == 2
    assert for_use(uses(70, 70, None), 75, 3, TOLERANCE) == 3


def test_an_instance_without_a_value_uses_nothing_when_the_number_would_grow() -> None:
    assert for_use(uses(200, 200, None), 100, 3, TOLERANCE) == 4


def test_a_missing_value_never_turns_the_direction() -> None:
    assert for_use(uses(120, None), 100, 2, TOLERANCE) == 2
    assert for_use(uses(85, None, None, None), 100, 4, TOLERANCE) == 4


def test_instances_that_start_use_nothing_while_the_number_grows() -> None:
    assert for_use(uses(200, 200, unready=2), 100, 4, TOLERANCE) == 4
    assert for_use(uses(300, 300, unready=1), 100, 3, TOLERANCE) == 6


def test_instances_that_start_are_left_out_while_the_number_falls() -> None:
    assert for_use(uses(40, 40, unready=2), 100, 4, TOLERANCE) == 1


def test_without_any_value_of_a_ready_instance_there_is_no_number() -> None:
    assert for_use(uses(None, None, unready=1), 100, 3, TOLERANCE) is None
    assert for_use([], 100, 0, TOLERANCE) is None


@pytest.mark.parametrize(
    ("value", "current", "wanted"),
    [
        pytest.param(30, 2, 3, id="shared-by-three-of-ten-each"),
        pytest.param(21, 2, 2, id="within-the-tolerance"),
        pytest.param(0, 2, 0, id="an-empty-queue-asks-for-none"),
        pytest.param(1, 0, 1, id="one-message-wakes-a-worker"),
        pytest.param(95, 0, 10, id="from-none-to-as-many-as-are-needed"),
        pytest.param(0.1 + 0.2, 1, 1, id="a-rounding-error-is-no-instance"),
    ],
)
def test_a_total_is_shared_by_as_many_as_keep_the_target_each(
    value: float, current: int, wanted: int
) -> None:
    assert for_total(value, 10, current, TOLERANCE) == wanted


@pytest.mark.parametrize(
    ("value", "ready", "wanted"),
    [
        pytest.param(400, 4, 8, id="twice-as-slow-doubles"),
        pytest.param(215, 4, 4, id="within-the-tolerance"),
        pytest.param(400, 2, 4, id="only-ready-ones-count"),
        pytest.param(100, 4, 2, id="half-as-slow-halves"),
    ],
)
def test_a_latency_that_all_have_in_common_scales_the_ready_ones(
    value: float, ready: int, wanted: int
) -> None:
    assert for_level(value, 200, 4, ready, TOLERANCE) == wanted


@pytest.mark.parametrize(
    ("seen", "target", "current", "wanted"),
    [
        pytest.param(uses(40, None), 50, 2, 2, id="fewer-never-become-more"),
        pytest.param(uses(120, None, None), 100, 3, 3, id="more-never-become-fewer"),
        pytest.param(uses(*[120] * 10, None), 100, 11, 11, id="within-the-tolerance"),
        pytest.param(uses(40, 40, 40, None), 100, 2, 2, id="fewer-of-more-than-are-asked-for"),
        pytest.param(uses(300, None), 100, 4, 4, id="more-of-fewer-than-are-asked-for"),
    ],
)
def test_what_is_not_known_never_turns_or_reverses_a_change(
    seen: list[InstanceUse], target: float, current: int, wanted: int
) -> None:
    assert for_use(seen, target, current, TOLERANCE) == wanted


def test_where_all_are_known_each_counts_though_another_number_is_asked_for() -> None:
    assert for_use(uses(*[50] * 6), 100, 2, TOLERANCE) == 3
