"""PATCH changes documents as Microsoft's page says.

Source: https://learn.microsoft.com/azure/cosmos-db/partial-document-update
"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.cosmos_endpoint.errors import CosmosError
from local_cloud.cosmos_endpoint.patch import patch_of, patched

DOCUMENT = {"id": "1", "k": "p", "n": 1, "l": [1, 2], "o": {"x": 1, "a/b": 2}, "key": {"zip": 5}}
KEYS = [("k",), ("key", "zip")]


def changed(*operations: dict[str, Any], document: dict[str, Any] = DOCUMENT) -> dict[str, Any]:
    return patched(document, patch_of(list(operations), KEYS))


@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        ({"op": "add", "path": "/new", "value": {"a": 1}}, ["new"], {"a": 1}),
        ({"op": "add", "path": "/n", "value": None}, ["n"], None),
        ({"op": "add", "path": "/l/0", "value": 0}, ["l"], [0, 1, 2]),
        ({"op": "add", "path": "/l/2", "value": 3}, ["l"], [1, 2, 3]),
        ({"op": "add", "path": "/l/-", "value": 3}, ["l"], [1, 2, 3]),
        ({"op": "set", "path": "/l/0", "value": 9}, ["l"], [9, 2]),
        ({"op": "set", "path": "/o/y", "value": 2}, ["o", "y"], 2),
        ({"op": "replace", "path": "/o/x", "value": 2}, ["o", "x"], 2),
        ({"op": "replace", "path": "/o/a~1b", "value": 3}, ["o", "a/b"], 3),
        ({"op": "remove", "path": "/l/0"}, ["l"], [2]),
        ({"op": "remove", "path": "/o/x"}, ["o"], {"a/b": 2}),
        ({"op": "incr", "path": "/n", "value": 2.5}, ["n"], 3.5),
        ({"op": "incr", "path": "/n", "value": -1}, ["n"], 0),
        ({"op": "incr", "path": "/o/count", "value": 1}, ["o", "count"], 1),
        ({"op": "move", "from": "/o/x", "path": "/l/0"}, ["l"], [1, 1, 2]),
        ({"op": "move", "from": "/n", "path": "/o/n"}, ["o", "n"], 1),
        ({"op": "set", "path": "/key/street", "value": "x"}, ["key", "street"], "x"),
    ],
)
def test_an_operation_does_what_its_name_says(
    operation: dict[str, Any], path: list[str], expected: Any
) -> None:
    document: Any = changed(operation)

    for name in path:
        document = document[name]
    assert document == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "remove", "path": "/missing"},
        {"op": "remove", "path": "/l/2"},
        {"op": "set", "path": "/l/3", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/l/01", "value": 1},
        {"op": "add", "path": "/no/parent", "value": 1},
        {"op": "add", "path": "/n/x", "value": 1},
        {"op": "incr", "path": "/o", "value": 1},
        {"op": "incr", "path": "/n", "value": "1"},
        {"op": "incr", "path": "/n", "value": True},
        {"op": "move", "from": "/missing", "path": "/x"},
        {"op": "move", "from": "/o", "path": "/o/x"},
        {"op": "set", "path": "/id", "value": "2"},
        {"op": "remove", "path": "/k"},
        {"op": "set", "path": "/key", "value": {}},
        {"op": "set", "path": "/key/zip", "value": 6},
        {"op": "move", "from": "/k", "path": "/x"},
        {"op": "set", "path": "/_ts", "value": 1},
        {"op": "set", "path": "n", "value": 1},
        {"op": "set", "path": "", "value": 1},
        {"op": "set", "path": "/a~2", "value": 1},
        {"op": "set", "path": "/n"},
        {"op": "test", "path": "/n", "value": 1},
        {"path": "/n", "value": 1},
    ],
    ids=str,
)
def test_what_cannot_be_done_is_a_400_that_counts_the_operation(operation: dict[str, Any]) -> None:
    before = copy.deepcopy(DOCUMENT)

    with pytest.raises(CosmosError, match=r"For Operation\(2\)") as refusal:
        changed({"op": "set", "path": "/first", "value": 1}, operation)

    assert refusal.value.status == 400
    assert before == DOCUMENT


@pytest.mark.parametrize("body", [None, [], {}, {"operations": []}, [5], "x", [{}] * 11])
def test_a_patch_has_one_to_ten_operations(body: Any) -> None:
    with pytest.raises(CosmosError):
        patch_of(body, KEYS)


NAMES = st.sampled_from(["a", "b", "~", "/"])
VALUES = st.integers(-5, 5) | st.none() | st.text(max_size=2)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "set", "replace", "remove", "incr"]), NAMES, VALUES),
    min_size=1, max_size=10,
)  # fmt: skip


@given(STEPS)
def test_a_patch_of_an_object_is_what_a_dictionary_does(steps: list[tuple[str, str, Any]]) -> None:
    model: dict[str, Any] = {"a": 1}
    fails = False
    for kind, name, value in steps:
        is_sum = kind == "incr"
        if (kind in {"replace", "remove"} and name not in model) or (
            is_sum and not (isinstance(value, int) and isinstance(model.get(name, 0), int))
        ):
            fails = True
            break
        if kind == "remove":
            del model[name]
        else:
            model[name] = model.get(name, 0) + value if is_sum else value
    operations = [
        {"op": kind, "path": "/" + name.replace("~", "~0").replace("/", "~1"), "value": value}
        for kind, name, value in steps
    ]

    try:
        found = patched({"a": 1}, patch_of(operations, [("k",)]))
    except CosmosError:
        assert fails
    else:
        assert (found, fails) == (model, False)
