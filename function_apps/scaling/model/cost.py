"""The cost of instances by a price list, and the number that a ceiling pays for."""

import math
from typing import Final

from shared.contracts.scaling import CostCeiling, CostPeriod, PriceList
from shared.contracts.values import REPLICAS_MAX, Resources

HOURS: Final = {CostPeriod.HOUR: 1.0, CostPeriod.MONTH: 730.0}
"""A month as Azure's price calculator has it."""
_MIB_OF_GIB: Final = 1024


def hourly_cost(prices: PriceList, resources: Resources) -> float:
    """Return what one instance costs in an hour; what it has no limit of costs nothing here."""
    memory_gib = (resources.memory_mib or 0) / _MIB_OF_GIB
    return prices.instance + prices.cpu * (resources.cpu or 0) + prices.memory_gib * memory_gib


def affordable(ceiling: CostCeiling | None, resources: Resources) -> int | None:
    """Return how many instances *ceiling* pays for; None where nothing limits them."""
    if ceiling is None:
        return None
    cost = hourly_cost(ceiling.prices, resources)
    if not cost:
        return None
    number = round(ceiling.amount / HOURS[ceiling.per] / cost, 9)
    return math.floor(min(number, REPLICAS_MAX))
