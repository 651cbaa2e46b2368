"""The cost of an instance by a price list, and how many a ceiling pays for."""

import pytest

from function_apps.scaling.model.cost import affordable, hourly_cost
from shared.contracts.scaling import CostCeiling, CostPeriod, PriceList
from shared.contracts.values import Resources

PRICES = PriceList(instance=0.5, cpu=2, memory_gib=0.25)


@pytest.mark.parametrize(
    ("resources", "cost"),
    [
        pytest.param(Resources(cpu=0.5, memory_mib=2048), 0.5 + 1 + 0.5, id="each-by-its-price"),
        pytest.param(Resources(cpu=1), 0.5 + 2, id="memory-without-a-limit-costs-nothing"),
        pytest.param(Resources(memory_mib=512), 0.5 + 0.125, id="half-a-gibibyte"),
        pytest.param(Resources(), 0.5, id="an-instance-has-its-own-price"),
    ],
)
def test_an_hour_of_an_instance_costs_what_it_has(resources: Resources, cost: float) -> None:
    assert hourly_cost(PRICES, resources) == cost


@pytest.mark.parametrize(
    ("amount", "per", "number"),
    [
        pytest.param(2.5, CostPeriod.HOUR, 5, id="an-hour"),
        pytest.param(2.4, CostPeriod.HOUR, 4, id="no-part-of-one"),
        pytest.param(0.5 * 730 * 3, CostPeriod.MONTH, 3, id="a-month-has-730-hours"),
        pytest.param(0.1, CostPeriod.HOUR, 0, id="not-even-one"),
        pytest.param(1e9, CostPeriod.HOUR, 1000, id="never-more-than-there-may-be"),
    ],
)
def test_a_ceiling_pays_for_so_many(amount: float, per: CostPeriod, number: int) -> None:
    ceiling = CostCeiling(amount=amount, currency="EUR", per=per, prices=PriceList(instance=0.5))

    assert affordable(ceiling, Resources()) == number


def test_an_error_of_rounding_costs_no_instance() -> None:
    ceiling = CostCeiling(
        amount=0.3, currency="EUR", per=CostPeriod.HOUR, prices=PriceList(instance=0.1)
    )

    assert affordable(ceiling, Resources()) == 3


def test_without_a_ceiling_or_a_cost_nothing_limits() -> None:
    free = CostCeiling(amount=1, currency="EUR", prices=PriceList(cpu=1))

    assert affordable(None, Resources(cpu=1)) is None
    assert affordable(free, Resources()) is None
