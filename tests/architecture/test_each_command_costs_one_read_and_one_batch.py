"""Counted in the running system: each command and event is one bounded read and one batch."""

from collections import defaultdict
from functools import cache

import pytest

from shared.persistence.store import READ_MAX_DOCUMENTS
from tests.kit.cost_table import ONE, TABLE, observed
from tests.kit.costs import Invocation

pytestmark = pytest.mark.xdist_group("costs")


@cache
def by_input() -> dict[tuple[str, str], list[Invocation]]:
    found = defaultdict(list)
    for invocation in observed():
        found[invocation.service, invocation.input].append(invocation)
    return found


@pytest.mark.parametrize("row", TABLE, ids=" ".join)
def test_it_costs_what_the_table_says(row: tuple[str, str]) -> None:
    allowed = TABLE[row]

    costs = {each.cost for each in by_input()[row]}

    assert max(costs) == (allowed.reads, allowed.queries, allowed.batches)
    assert allowed == ONE or allowed.reason


def test_nothing_that_changes_anything_is_missing_in_the_table() -> None:
    writing = {row for row, found in by_input().items() if any(each.batches for each in found)}
    free = {("deployments", "POST v1/runtime/artifacts")}  # no aggregate: a digest and its bytes

    assert writing - free == set(TABLE)


def test_no_read_asks_for_more_than_eight_documents() -> None:
    most = max(each.documents for found in by_input().values() for each in found)

    assert most <= READ_MAX_DOCUMENTS


@pytest.mark.parametrize("row", TABLE, ids=" ".join)
def test_what_it_costs_does_not_grow_with_history(row: tuple[str, str]) -> None:
    # News that change nothing cost less, whenever they come.
    found = [each for each in by_input()[row] if each.batches] or by_input()[row]

    assert max(found[-1].cost, found[0].cost) == max(each.cost for each in found)
    assert found[-1].operations <= found[0].operations + 3
