"""A histogram in other buckets has the same requests, as slow as they were."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram

BOUNDS = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
COUNTS = st.lists(st.integers(0, 1000), min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1)


@given(COUNTS)
def test_no_request_is_lost_and_none_is_faster_than_it_was(counts: list[int]) -> None:
    coarse = Histogram(BOUNDS, tuple(counts))

    fine = coarse.rebinned(LATENCY_BOUNDS_MS)

    assert fine.total == coarse.total
    assert all(count >= 0 for count in fine.counts)
    # Above all bounds is above all bounds: no limit lets it pass.
    assert fine.counts[-1] == coarse.counts[-1]
    for bound, within in zip(BOUNDS, accumulate(counts), strict=False):
        sure = sum(
            count for high, count in zip(LATENCY_BOUNDS_MS, fine.counts, strict=False)
            if high <= bound
        )  # fmt: skip
        assert sure <= within


def test_quantiles_stay_where_they_were() -> None:
    coarse = Histogram(BOUNDS, (0, 0, 100, 800, 80, 15, 5, 0, 0, 0, 0, 0))

    fine = coarse.rebinned(LATENCY_BOUNDS_MS)

    for fraction in (0.5, 0.95, 0.99):
        before, after = coarse.quantile_ms(fraction), fine.quantile_ms(fraction)
        assert before is not None
        assert after is not None
        assert abs(after - before) / before < 0.02
