"""The contract of the Metrics port: each adapter, each fault, and never a 0 in place of one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from shared.contracts.metrics import Metric
from shared.metrics.port import Measured, Missing, Stale, Unmeasurable
from tests.kit.provider_stand_in import stand_in
from tests.metrics.providers import CANNOT, PROVIDERS, WAIT_S, Fault, Provider

pytestmark = pytest.mark.real
EXPECTED: Final[dict[Fault, tuple[type, ...]]] = {
    **dict.fromkeys(Fault, (Unmeasurable,)),
    Fault.EMPTY: (Missing,),
    Fault.STALE: (Stale,),
    Fault.BEHIND: (Unmeasurable, Stale),
}
CASES: Final = [
    pytest.param(name, fault, id=f"{name}-{fault}")
    for name in PROVIDERS
    for fault in Fault
    if fault is not Fault.NONE and fault not in CANNOT.get(name, {})
]


OVER_HTTP: Final = [name for name in PROVIDERS if name not in CANNOT]


@pytest.fixture
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
    async with stand_in(tmp_path) as server:
        made = PROVIDERS[request.param](server, tmp_path)
        try:
            yield made
        finally:
            close = getattr(made.metrics, "close", None)
            if close is not None:
                await close()


@pytest.mark.parametrize(("provider", "fault"), CASES, indirect=["provider"])
async def test_a_fault_is_a_result_of_its_own_and_ends_when_the_provider_is_well_again(
    provider: Provider, fault: Fault
) -> None:
    await provider.show(fault)
    measurement = await provider.measured()

    assert isinstance(measurement, EXPECTED[fault]), measurement
    assert not isinstance(measurement, Measured)
    assert measurement.reason

    await provider.show(Fault.NONE)
    provider.clock.passed_s += WAIT_S + 0.1
    again = await provider.measured()
    assert isinstance(again, Measured), again
    assert again.value == provider.value


@pytest.mark.parametrize("provider", OVER_HTTP, indirect=True)
async def test_who_throttles_is_left_alone_for_as_long_as_it_asks(provider: Provider) -> None:
    await provider.show(Fault.THROTTLED)
    throttled = await provider.measured()
    await provider.show(Fault.NONE)
    early = await provider.measured()
    provider.clock.passed_s += WAIT_S + 0.1
    late = await provider.measured()

    assert [type(each) for each in (throttled, early, late)] == [
        Unmeasurable, Unmeasurable, Measured,
    ]  # fmt: skip
    assert isinstance(early, Unmeasurable)
    assert "throttles" in early.reason


@pytest.mark.parametrize("provider", PROVIDERS, indirect=True)
async def test_each_question_of_a_batch_has_its_answer_in_its_place(provider: Provider) -> None:
    await provider.show(Fault.NONE)
    good = provider.query()
    of_an_instance = replace(good, subject=replace(good.subject, instance="i-1"), text="{{nobody}}")
    unknown = replace(of_an_instance, metric=Metric.QUEUE_LENGTH)

    results = await provider.metrics.measure([unknown, good, unknown, good])

    assert [isinstance(each, Measured) for each in results] == [False, True, False, True]
