"""In generated environments drift tells of what was changed there, and of nothing else."""

import pytest

from tests.drift.drift_corpus import KINDS, ON_MACHINES, Judged, judge
from tests.drift.kinds_from_documents import HARMFUL, HARMLESS, NOT_COMPARED
from tests.kit.parameters import unless_whole

SAMPLE = (*range(0, len(KINDS), 35), *range(len(KINDS) - len(ON_MACHINES), len(KINDS), 8))
"""`make drift-corpus` takes over a thousand; this shows that they are still judged."""


def wrong(judged: list[Judged]) -> list[tuple[int, str, object, object]]:
    return [
        (each.case.seed, each.case.mutation.name, each.missed, each.false)
        for each in judged
        if each.missed or each.false
    ]


def test_a_sample_is_found_whole_and_without_a_false_alarm() -> None:
    judged = [judge(seed) for seed in SAMPLE]

    assert wrong(judged) == []
    assert any(each.truth for each in judged)


@pytest.mark.long
def test_each_kind_of_change_is_found_and_no_harmless_one_is_told() -> None:
    seeds = range(len(KINDS), 2 * len(KINDS))[:: unless_whole(2)]
    assert wrong([judge(seed) for seed in seeds]) == []


def test_what_documents_name_is_in_the_corpus_and_is_a_third_of_it() -> None:
    names = {each.name for each in KINDS}

    assert {*HARMFUL, *HARMLESS} - NOT_COMPARED <= names
    assert len((HARMFUL | HARMLESS) & names) >= len(names) / 3
