"""Differences that are none: the same said in other words, or left to somebody else on purpose.

Each rule says why, or nothing. What a cluster fills in, admission adds or a foreign manager sets
beside the platform's fields never gets here: the surfaces leave it out of their live properties.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from function_apps.drift.model.comparison import Change
from shared.contracts.drift import Plane
from shared.surfaces.scaling import ReplicasOwner

_QUANTITY: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_SCALE: Final[Mapping[str, Decimal]] = {
    "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}  # fmt: skip
_QUANTITIES: Final = "resources/"
_SETS: Final = frozenset({"data", "requires"})
"""Lists of names whose order means nothing."""
Rule = Callable[[Plane, Change], str | None]


def _is_same_quantity(plane: Plane, change: Change) -> str | None:
    if plane is not Plane.WORKLOAD or not change.path.startswith(_QUANTITIES):
        return None
    desired, actual = _quantity(change.desired), _quantity(change.actual)
    return "the same quantity" if desired is not None and desired == actual else None


def _is_same_set(plane: Plane, change: Change) -> str | None:
    if plane is not Plane.WORKLOAD or change.path not in _SETS:
        return None
    desired, actual = _names(change.desired), _names(change.actual)
    return "the same names in another order" if desired is not None and desired == actual else None


def _is_number_of_an_autoscaler(plane: Plane, change: Change) -> str | None:
    if plane is not Plane.REPLICAS:
        return None
    is_given = change.path == "owner" and change.actual == ReplicasOwner.SURFACE
    is_its_number = change.path == "replicas" and None in {change.desired, change.actual}
    # What a policy in force gave the surface has a desired word.
    is_its_number |= change.path in {"minimum", "maximum", "rules"} and change.desired is None
    return "an autoscaler of the surface has the number" if is_given or is_its_number else None


RULES: Final[tuple[Rule, ...]] = (_is_same_quantity, _is_same_set, _is_number_of_an_autoscaler)


def why_harmless(plane: Plane, change: Change) -> str | None:
    """Return why *change* is no drift; None where it is."""
    return next(filter(None, (rule(plane, change) for rule in RULES)), None)


def _quantity(value: object) -> Decimal | None:
    """Return a quantity as Kubernetes writes it (`1000m`, `1`, `512Mi`) as a number."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    number, unit = match.groups()
    return Decimal(number) * _SCALE.get(unit, Decimal(1))


def _names(value: object) -> list[str] | None:
    """Return the names of a list in JSON, sorted; None where it is none."""
    try:
        names = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        return None
    return sorted(names)
