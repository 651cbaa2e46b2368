"""In the planes of generated environments drift tells of what was changed, and of nothing else."""

import pytest

from tests.drift.drift_corpus import Judged
from tests.drift.mutations_on_planes import ON_PLANES
from tests.drift.planes_corpus import PlaneCase, judge_planes
from tests.kit.parameters import unless_whole

SAMPLE = (17, 45)
"""`make drift-corpus` takes hundreds; this shows that they are still judged."""


def wrong(judged: list[Judged]) -> list[tuple[int, str, object, object]]:
    return [
        (each.case.seed, each.case.mutation.name, each.missed, each.false)
        for each in judged
        if each.missed or each.false
    ]


def test_a_sample_of_planes_is_found_whole_and_without_a_false_alarm() -> None:
    judged = [judge_planes(seed) for seed in SAMPLE]

    assert wrong(judged) == []
    assert any(each.truth for each in judged)


@pytest.mark.long
def test_each_kind_of_change_of_a_plane_is_found_and_no_harmless_one_is_told() -> None:
    seeds = range(2 * len(ON_PLANES))[:: unless_whole(9)]
    assert wrong([judge_planes(seed) for seed in seeds]) == []


def test_half_of_the_cases_have_work_beside_them_on_each_surface() -> None:
    cases = [PlaneCase(seed) for seed in range(2 * len(ON_PLANES))]

    assert sum(each.has_work for each in cases) * 2 == len(cases)
    beside = {each.surface for each in cases if each.has_work}
    assert beside == {each.surface for each in cases} == {"machine", "cluster"}
