"""The spans fit each other, whatever is set: who remembers an end forgets it before its source."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.composition.settings import InvalidSetting, read_settings
from shared.contracts.retention import MESSAGES_KEPT, Kept, Retention
from shared.messaging.removal import REMOVE_EVERY

ENDED, RETIRED, RESULTS = (f"RUNTIME_{word}_KEPT_DAYS" for word in ("ENDED", "RETIRED", "RESULTS"))


def test_the_spans_are_those_of_the_specification() -> None:
    spans = Retention()

    assert spans.span(Kept.ENDED) == timedelta(days=365)
    assert spans.span(Kept.RETIRED) == timedelta(days=90)
    assert spans.span(Kept.RESULT) == timedelta(days=30)


def _is_read(*days: int) -> Retention | None:
    names = (ENDED, RETIRED, RESULTS)
    try:
        given = {name: str(number) for name, number in zip(names, days, strict=True)}
        return read_settings({"RUNTIME_PROFILE": "local", **given}).retention
    except InvalidSetting:
        return None


@given(st.integers(-1, 30_000), st.integers(-1, 30_000), st.integers(-1, 100))
def test_what_is_set_is_taken_only_where_the_spans_fit(ended: int, retired: int, kept: int) -> None:
    spans = _is_read(ended, retired, kept)

    if spans is None:
        assert not (32 <= ended <= 24_000 and 32 <= retired <= 24_000 and 1 <= kept <= 30)
        return
    assert spans == Retention(timedelta(days=ended), timedelta(days=retired), timedelta(days=kept))
    assert min(spans.ended, spans.retired) > MESSAGES_KEPT + REMOVE_EVERY
    # Samples of a service are found by what is known of it, and removed once a day.
    assert spans.retired > spans.results + REMOVE_EVERY
    assert max(spans.ended, spans.retired).total_seconds() < 2**31


@pytest.mark.parametrize("text", ["a year", "365.5", ""])
def test_a_span_that_is_no_number_of_days_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        read_settings({"RUNTIME_PROFILE": "local", ENDED: text})

    assert ENDED in refused.value.message
