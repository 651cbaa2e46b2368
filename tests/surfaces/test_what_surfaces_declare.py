"""A surface has the required minimum, and what it declares a test shows."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from shared.surfaces.aks.capabilities import capabilities
from shared.surfaces.aks.cluster_offers import ClusterOffers
from shared.surfaces.aks.traffic_layer import TrafficLayer
from shared.surfaces.capabilities import MINIMUM, OF_A_GATEWAY, Capabilities, Feature
from tests.surfaces.conftest import DECLARED

FOLDER: Final = Path(__file__).parent
PLANNED_ONLY: Final = {"memory": {"OWN_PORTS", "MEMORY_LIMIT", "DATA_FOLDERS"}}
"""Declared in memory so that the plans of other tests may need them; nothing there has a body."""


def _marks(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield each `pytest.mark.shows(…)` of a module: of a test, or of all of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.shows":
            yield node


@cache
def _shown() -> Mapping[str, set[str]]:
    """Return the names of the features that tests show, by surface; `*` is every one."""
    shown: dict[str, set[str]] = {"*": set()}
    for path in sorted(FOLDER.glob("test_*.py")):
        for mark in _marks(ast.parse(path.read_text(encoding="utf-8"))):
            on = [ast.literal_eval(each.value) for each in mark.keywords if each.arg == "on"]
            names = {ast.unparse(each).removeprefix("Feature.") for each in mark.args}
            shown.setdefault(on[0] if on else "*", set()).update(names)
    return shown


@pytest.mark.parametrize("surface", DECLARED)
def test_a_surface_has_the_required_minimum(surface: str) -> None:
    assert MINIMUM & DECLARED[surface].lacks.keys() == set()


def test_a_cluster_without_a_gateway_lacks_of_the_minimum_what_a_gateway_does() -> None:
    offers = ClusterOffers(has_measures=True, has_events=True, lacks_secrets="")

    lacking = capabilities(
        TrafficLayer(None, "no controller"), offers, counts=True, tries=True
    ).lacks

    assert MINIMUM & lacking.keys() == OF_A_GATEWAY


@pytest.mark.parametrize("surface", DECLARED)
def test_every_feature_that_a_surface_declares_is_shown_by_a_test(surface: str) -> None:
    offered = DECLARED[surface]
    declared = {feature.name for feature in Feature if offered.supports(feature)}

    shown = _shown()["*"] | _shown().get(surface, set()) | PLANNED_ONLY.get(surface, set())

    assert declared - shown == set()


@pytest.mark.parametrize("surface", DECLARED)
def test_every_feature_that_a_surface_lacks_has_its_reason(surface: str) -> None:
    offered: Capabilities = DECLARED[surface]

    assert [feature for feature, reason in offered.lacks.items() if len(reason.split()) < 3] == []


def test_every_mark_names_a_feature() -> None:
    named = set().union(*_shown().values())

    assert named - {feature.name for feature in Feature} == set()
