"""The comparer: equality first, then each property in the order of its path."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.drift.model.comparison import (
    Change,
    compare,
    compare_all,
    compare_texts,
    text_of,
)
from function_apps.drift.model.harmless import why_harmless
from shared.contracts.drift import DriftKind, Plane

CHANGED, MISSING, UNMANAGED = DriftKind.CHANGED, DriftKind.MISSING, DriftKind.UNMANAGED
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)
RESOURCES = st.dictionaries(st.text("abc", min_size=1, max_size=2), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("desired", "live", "found"),
    [
        pytest.param({"a": 1}, {"a": 1.0}, [], id="a-number-is-its-value"),
        pytest.param({"a": "1"}, {"a": 1}, [("a", CHANGED)], id="a-text-is-no-number"),
        pytest.param({"a": 2, "b": True}, {"a": 3, "b": 1}, [("a", CHANGED), ("b", CHANGED)],
                     id="a-boolean-is-no-number"),
        pytest.param({"a": 1}, {}, [("a", MISSING)], id="missing"),
        pytest.param({}, {"a": None}, [("a", UNMANAGED)], id="null-is-a-value"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 2, "c": 2}}, [("a/b", CHANGED)],
                     id="inside"),
        pytest.param({"a": [1, 2]}, {"a": [2, 1]}, [("a", CHANGED)], id="an-order-is-one-change"),
        pytest.param({"a": [1, 2]}, {"a": [1, 3, 4]}, [("a/1", CHANGED), ("a/2", UNMANAGED)],
                     id="positions"),
        pytest.param({"a": [1, 1, 2]}, {"a": [1, 2, 2]}, [("a/1", CHANGED)], id="no-set"),
        pytest.param({"b": 1, "a": 1}, {"b": 2, "a": 2}, [("a", CHANGED), ("b", CHANGED)],
                     id="in-the-order-of-paths"),
    ],
)  # fmt: skip
def test_each_difference_is_one_change(desired: Any, live: Any, found: Any) -> None:
    assert [(each.path, each.kind) for each in compare(desired, live)] == found


@pytest.mark.parametrize(
    ("desired", "live", "found"),
    [
        pytest.param({"a": 1}, {"a": None}, Change("a", CHANGED, 1, None), id="changed"),
        pytest.param({"a": 1}, {}, Change("a", MISSING, 1, None), id="missing"),
        pytest.param({}, {"a": 1}, Change("a", UNMANAGED, None, 1), id="unmanaged"),
        pytest.param({"a": [1, 2]}, {"a": [2, 1]}, Change("a", CHANGED, [1, 2], [2, 1]),
                     id="an-order"),
        pytest.param({"a": [1]}, {"a": {"0": 1}}, Change("a", CHANGED, [1], {"0": 1}),
                     id="another-kind-of-value"),
    ],
)  # fmt: skip
def test_a_change_has_the_values_of_both_sides(desired: Any, live: Any, found: Change) -> None:
    assert compare(desired, live) == [found]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("1", "1", id="a-text-as-it-is"),
        pytest.param(None, None, id="nothing"),
        pytest.param(True, "true", id="a-boolean"),
        pytest.param(["a", 1], '["a", 1]', id="a-list"),
    ],
)
def test_a_value_is_shown_as_text(value: Any, text: str | None) -> None:
    assert text_of(value) == text


@given(RESOURCES)
def test_a_resource_differs_not_from_itself(resource: Any) -> None:
    assert compare(resource, {**resource}) == []


@given(RESOURCES, RESOURCES)
def test_the_other_way_round_what_is_missing_is_unmanaged(one: Any, other: Any) -> None:
    turned = {MISSING: UNMANAGED, UNMANAGED: MISSING, CHANGED: CHANGED}

    there = [Change(c.path, turned[c.kind], c.actual, c.desired) for c in compare(one, other)]

    assert there == compare(other, one)


@given(RESOURCES, RESOURCES)
def test_there_are_changes_exactly_where_values_differ(one: Any, other: Any) -> None:
    assert bool(compare(one, other)) is (one != other)


def test_resources_that_are_equal_are_not_in_the_result() -> None:
    found = compare_all({"a": {"x": 1}, "b": {"x": 1}}, {"a": {"x": 1}, "c": {"x": 1}})

    assert {name: [each.kind for each in changes] for name, changes in found.items()} == {
        "b": [MISSING], "c": [UNMANAGED],
    }  # fmt: skip


def test_texts_are_compared_as_what_they_say() -> None:
    found = compare_texts({"a": b'{"x": 1}', "b": b'{"x":1}'}, {"a": b'{"x":1}', "b": b'{"x":2}'})

    assert found == {"b": [Change("x", CHANGED, 1, 2)]}


@pytest.mark.parametrize(
    ("plane", "path", "desired", "actual"),
    [
        pytest.param(Plane.WORKLOAD, "resources/cpu", "1", "1000m", id="cpu"),
        pytest.param(Plane.WORKLOAD, "resources/memoryMib", "1024Mi", "1Gi", id="memory"),
        pytest.param(Plane.WORKLOAD, "requires", '["a", "b"]', '["b","a"]', id="order-of-a-set"),
        pytest.param(Plane.REPLICAS, "owner", "Platform", "Surface", id="an-autoscaler"),
        pytest.param(Plane.REPLICAS, "minimum", None, "2", id="its-bounds"),
        pytest.param(Plane.REPLICAS, "rules", None, "cpu 70", id="its-rules"),
        pytest.param(Plane.REPLICAS, "replicas", "2", None, id="a-number-that-it-has"),
        pytest.param(Plane.WORKLOAD, "resources/disk", "1.5k", "1500", id="a-fraction-of-a-unit"),
        pytest.param(Plane.WORKLOAD, "data", "[]", "[ ]", id="an-empty-set"),
    ],
)
def test_the_same_in_other_words_is_harmless(
    plane: Any, path: str, desired: Any, actual: Any
) -> None:
    assert why_harmless(plane, Change(path, CHANGED, desired, actual))


@pytest.mark.parametrize(
    ("plane", "path", "desired", "actual"),
    [
        pytest.param(Plane.WORKLOAD, "resources/cpu", "1", "1001m", id="cpu"),
        pytest.param(Plane.WORKLOAD, "environ/CPU", "1", "1000m", id="a-text-of-the-workload"),
        pytest.param(Plane.WORKLOAD, "command", '["a", "b"]', '["b", "a"]', id="a-command"),
        pytest.param(Plane.WORKLOAD, "requires", '["a"]', "[" * 100_000, id="no-list"),
        pytest.param(Plane.REPLICAS, "replicas", "2", "3", id="a-number"),
        pytest.param(Plane.REPLICAS, "owner", "Surface", "Platform", id="no-autoscaler-any-more"),
        pytest.param(Plane.REPLICAS, "rules", "cpu 70", "Surface", id="other-rules"),
        pytest.param(Plane.REPLICAS, "minimum", "1", "2", id="other-bounds"),
        pytest.param(Plane.REPLICAS, "other", None, "2", id="something-else-that-is-new"),
        pytest.param(Plane.WORKLOAD, "owner", None, "Surface", id="of-another-plane"),
        pytest.param(Plane.SECRETS, "resources/cpu", "1", "1000m", id="no-quantity-of-secrets"),
        pytest.param(Plane.SECRETS, "data", "[1]", "[1 ]", id="no-set-of-secrets"),
        pytest.param(Plane.WORKLOAD, "resources/cpu", "all", "whole", id="no-quantities"),
        pytest.param(Plane.WORKLOAD, "resources/cpu", None, "1", id="no-quantity-before"),
        pytest.param(Plane.WORKLOAD, "data", "[1]", "[1 ]", id="no-names"),
        pytest.param(Plane.WORKLOAD, "data", '{"a": 1}', '{"a":1}', id="no-list-of-names"),
        pytest.param(Plane.WORKLOAD, "data", None, '["a"]', id="no-set-before"),
        pytest.param(Plane.WORKLOAD, "data", '["a"]', '["a", "a"]', id="one-name-twice"),
    ],
)
def test_anything_else_is_none(plane: Any, path: str, desired: Any, actual: Any) -> None:
    assert why_harmless(plane, Change(path, CHANGED, desired, actual)) is None
