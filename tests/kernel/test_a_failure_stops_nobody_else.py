"""`isolate`: a failure of one of many is a value with its reason, and is logged."""

import asyncio
import logging

import pytest

from shared.kernel.concurrency import Failure, isolate
from shared.kernel.errors import Conflict, Unavailable

PROBLEMS: dict[str, tuple[Exception, str]] = {
    "a-refusal": (Conflict("it is held"), "it is held"),
    "an-outage": (Unavailable("the store is away"), "the store is away"),
    "a-defect": (KeyError("colour"), "KeyError: 'colour'"),
}


async def end_with(problem: BaseException | None) -> int:
    if problem is not None:
        raise problem
    return 1


async def test_work_that_succeeds_is_its_result() -> None:
    assert await isolate(end_with(None), "thing 1") == 1


@pytest.mark.parametrize(("problem", "reason"), PROBLEMS.values(), ids=PROBLEMS.keys())
async def test_work_that_fails_is_a_failure_with_its_reason(
    problem: Exception, reason: str
) -> None:
    assert await isolate(end_with(problem), "thing 1") == Failure(reason)


@pytest.mark.parametrize(("problem", "_reason"), PROBLEMS.values(), ids=PROBLEMS.keys())
async def test_every_failure_is_logged_with_its_subject_and_a_defect_with_its_stack(
    problem: Exception, _reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await isolate(end_with(problem), "thing 1")

    (record,) = caplog.records
    assert "thing 1" in record.getMessage()
    assert bool(record.exc_info) == isinstance(problem, KeyError)


async def test_who_is_canceled_stays_canceled() -> None:
    with pytest.raises(asyncio.CancelledError):
        await isolate(end_with(asyncio.CancelledError()), "thing 1")
