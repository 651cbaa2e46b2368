"""A figure misses its bound if its median does; others are shown without a verdict."""

import pytest

from benchmarks.rounds import MISSED, judge


@pytest.mark.parametrize(
    ("seconds", "code", "word"),
    [
        pytest.param([1.0, 2.0, 9.0], 0, "reached", id="a-tie-with-the-bound-is-reached"),
        pytest.param([1.0, 2.1, 2.2], MISSED, "MISSED", id="the-median-is-over-it"),
    ],
)
def test_the_exit_code_and_the_line_say_whether_the_median_is_within_its_bound(
    seconds: list[float], code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = [{"took, s": each, "size": 5.0} for each in seconds]

    assert judge("G0", rounds, {"took, s": 2.0}) == code

    took, size, _ = capsys.readouterr().out.splitlines()
    assert took.endswith(f"at most 2: {word}")
    assert "at most" not in size
