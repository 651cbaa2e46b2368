"""Contract of `Store.query` and `query_due`: the subset that services use, every adapter."""

import math
from collections.abc import Sequence

import pytest

from shared.kernel.errors import Invalid
from shared.persistence.store import (
    AnyOf,
    Comparison,
    Condition,
    Create,
    Delete,
    Partition,
    Prefix,
    Query,
    Store,
    Upsert,
    Where,
    pages,
)

HERE = Partition("tenant-a", "k1", "-")
SERVICE = Partition("tenant-a", "k1", "svc-1")
OTHER_ENVIRONMENT = Partition("tenant-a", "k2", "-")
OTHER_TENANT = Partition("tenant-b", "k1", "-")

BODIES = {
    "dep/1": {"status": "Completed", "n": 1, "at": {"zone": "eu"}, "held": True, "by": None},
    "dep/2": {"status": "RollingOut", "n": 2, "at": {"zone": "us"}, "held": False},
    "dep/3": {"status": "Completed", "n": 2.5, "at": {}},
    "op/1": {"status": 7, "n": "2"},
    "op/2": {},
}


async def fill(store: Store) -> None:
    await store.batch(HERE, [Create(key, body) for key, body in BODIES.items()])


async def ids(store: Store, *where: Condition) -> list[str]:
    page = await store.query(HERE, Query(where=where))
    assert page.continuation is None
    return [document.id for document in page.documents]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where("status", Comparison.EQ, "Completed"), ["dep/1", "dep/3"]),
        (Where("status", Comparison.NE, "Completed"), ["dep/2", "op/1"]),
        (Where("n", Comparison.EQ, 2), ["dep/2"]),
        (Where("n", Comparison.GE, 2), ["dep/2", "dep/3"]),
        (Where("n", Comparison.GT, 2), ["dep/3"]),
        (Where("n", Comparison.LT, 2), ["dep/1"]),
        (Where("n", Comparison.LE, 2.0), ["dep/1", "dep/2"]),
        (Where("n", Comparison.LE, "9"), ["op/1"]),
        (Where("at.zone", Comparison.EQ, "eu"), ["dep/1"]),
        (Where("held", Comparison.EQ, True), ["dep/1"]),
        (Where("held", Comparison.EQ, False), ["dep/2"]),
        (Where("by", Comparison.EQ, None), ["dep/1"]),
        (Where("status", Comparison.STARTS_WITH, "Roll"), ["dep/2"]),
        (Where("status", Comparison.IN, ["RollingOut", "Failed"]), ["dep/2"]),
        (Where("status", Comparison.IN, []), []),
        (Where("id", Comparison.STARTS_WITH, "op/"), ["op/1", "op/2"]),
        (Where("id", Comparison.STARTS_WITH, ""), sorted(BODIES)),
        (Where("id", Comparison.EQ, "dep/2"), ["dep/2"]),
        (Where("id", Comparison.IN, ["dep/2", "op/2", "x"]), ["dep/2", "op/2"]),
        (Where("id", Comparison.GT, "dep/2"), ["dep/3", "op/1", "op/2"]),
        (Where("absent", Comparison.NE, "x"), []),
        (Where("absent", Comparison.IS_NOT, "x"), sorted(BODIES)),
        (Where("status", Comparison.IS_NOT, "Completed"), ["dep/2", "op/1", "op/2"]),
        (Where("n", Comparison.IS_NOT, 2), ["dep/1", "dep/3", "op/1", "op/2"]),
        (Where("by", Comparison.IS_NOT, None), ["dep/2", "dep/3", "op/1", "op/2"]),
        (Where("held", Comparison.IS_NOT, True), ["dep/2", "dep/3", "op/1", "op/2"]),
        (Where("id", Comparison.IS_NOT, "dep/2"), ["dep/1", "dep/3", "op/1", "op/2"]),
    ],
    ids=lambda value: (
        f"{value.path}-{value.comparison.name}-{value.value}" if isinstance(value, Where) else ""
    ),
)
async def test_a_condition_holds_for_what_it_says(
    store: Store, where: Where, expected: list[str]
) -> None:
    await fill(store)

    assert await ids(store, where) == expected


async def test_all_conditions_hold(store: Store) -> None:
    await fill(store)

    found = await ids(
        store, Where("status", Comparison.EQ, "Completed"), Where("n", Comparison.GT, 1)
    )

    assert found == ["dep/3"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param(
            [Where("status", Comparison.EQ, "RollingOut"), Where("n", Comparison.EQ, 1)],
            ["dep/1", "dep/2"],
            id="two-fields",
        ),
        pytest.param(
            [Where("n", Comparison.EQ, 1), Where("id", Comparison.EQ, "op/2")],
            ["dep/1", "op/2"],
            id="a-field-that-one-lacks",
        ),
        pytest.param([Where("n", Comparison.EQ, 1)], ["dep/1"], id="one"),
        pytest.param([], [], id="none"),
    ],
)
async def test_any_of_several_conditions_is_enough(
    store: Store, conditions: Sequence[Where], expected: list[str]
) -> None:
    await fill(store)

    assert await ids(store, AnyOf(conditions)) == expected
    assert await ids(store, Where("id", Comparison.EQ, "dep/3"), AnyOf(conditions)) == []


async def test_text_that_looks_like_sql_or_json_is_text(store: Store) -> None:
    evil = "'; DROP TABLE x; -- \" } {"
    await store.batch(HERE, [Create("a", {"x": evil}), Create("b", {"x": {"y": 1}})])

    assert await ids(store, Where("x", Comparison.EQ, evil)) == ["a"]
    assert await ids(store, Where("x", Comparison.EQ, '{"y":1}')) == []


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(Query(where=[Where("a b", Comparison.EQ, 1)]), id="a-path-with-a-blank"),
        pytest.param(Query(where=[Where("a'", Comparison.EQ, 1)]), id="a-path-with-a-quote"),
        pytest.param(Query(order_by="a;"), id="an-order-with-a-semicolon"),
        pytest.param(Query(where=[Where("a", Comparison.STARTS_WITH, 1)]), id="a-number-s-prefix"),
        pytest.param(Query(where=[Where("a", Comparison.IN, "abc")]), id="in-a-text"),
        pytest.param(Query(where=[Where("a", Comparison.IN, [1])]), id="in-numbers"),  # type: ignore[list-item]
        pytest.param(Query(where=[Where("a", Comparison.IN, ["x"] * 1001)]), id="in-1001-texts"),
        pytest.param(Query(where=[Where("a", Comparison.EQ, "\ud83d")]), id="a-lone-surrogate"),
        pytest.param(Query(where=[Where("a", Comparison.IN, ["\ud83d"])]), id="in-a-surrogate"),
        pytest.param(Query(where=[Where("id", Comparison.EQ, "\ud83d")]), id="an-id-that-is-none"),
        pytest.param(Query(where=[Where("id", Comparison.EQ, 1)]), id="a-number-as-id"),
        pytest.param(Query(where=[Where("n", Comparison.LT, 2**63)]), id="64-bits-and-one"),
        pytest.param(Query(where=[Where("n", Comparison.GT, math.nan)]), id="no-number"),
        pytest.param(
            Query(where=[AnyOf([Where("a b", Comparison.EQ, 1)])]), id="any-of-a-path-with-a-blank"
        ),
        pytest.param(Query(limit=0), id="a-page-of-none"),
        pytest.param(Query(limit=1001), id="a-page-over-1000"),
    ],
)
async def test_a_malformed_query_is_refused(store: Store, query: Query) -> None:
    with pytest.raises(Invalid):
        await store.query(HERE, query)


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        pytest.param(HERE, ["a"], id="a-partition"),
        pytest.param(Prefix("tenant-a", "k1"), ["a", "b"], id="an-environment-with-its-units"),
        pytest.param(Prefix("tenant-a"), ["a", "b", "c"], id="a-tenant"),
        pytest.param(Prefix("tenant"), [], id="a-prefix-of-a-name-is-no-prefix-of-the-key"),
        pytest.param(Prefix("tenant-b"), ["d"], id="another-tenant"),
    ],
)
async def test_a_query_sees_its_scope_and_nothing_else(
    store: Store, within: Partition | Prefix, expected: list[str]
) -> None:
    for place, key in ((HERE, "a"), (SERVICE, "b"), (OTHER_ENVIRONMENT, "c"), (OTHER_TENANT, "d")):
        await store.batch(place, [Create(key, {})])

    page = await store.query(within, Query())

    assert [document.id for document in page.documents] == expected


async def test_what_is_due_is_found_across_tenants_in_order(store: Store) -> None:
    await store.batch(HERE, [Create("late", {"dueAt": "2026-01-03"}), Create("never", {})])
    await store.batch(OTHER_TENANT, [Create("early", {"dueAt": "2026-01-01"})])
    await store.batch(SERVICE, [Create("middle", {"dueAt": "2026-01-02"})])
    await store.batch(SERVICE, [Create("future", {"dueAt": "2027-01-01"})])

    due = Query(where=[Where("dueAt", Comparison.LE, "2026-06-01")], order_by="dueAt")
    page = await store.query_due(due)

    assert [document.id for document in page.documents] == ["early", "middle", "late"]
    assert [document.partition for document in page.documents] == [OTHER_TENANT, SERVICE, HERE]


async def test_no_more_than_a_hundred_are_due_at_once(store: Store) -> None:
    await store.batch(HERE, [Create(f"{n:03}", {"n": n}) for n in range(60)])
    await store.batch(OTHER_TENANT, [Create(f"{n:03}", {"n": n}) for n in range(60, 120)])

    page = await store.query_due(Query(order_by="n", limit=500))

    assert [document.body["n"] for document in page.documents] == list(range(100))


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
async def test_pages_are_ordered_and_together_are_everything(
    store: Store, *, descending: bool
) -> None:
    numbers = [5, 3, 9, 1, 7, 2, 8]
    await store.batch(HERE, [Create(f"d{n}", {"n": n}) for n in numbers])

    query = Query(order_by="n", descending=descending, limit=3)
    found = [document.body["n"] async for document in pages(store, HERE, query)]

    assert found == sorted(numbers, reverse=descending)


async def test_documents_with_an_equal_sort_value_are_paged_once_each(store: Store) -> None:
    await store.batch(HERE, [Create(f"d{n}", {"n": n % 2}) for n in range(7)])

    found = [document async for document in pages(store, HERE, Query(order_by="n", limit=2))]

    assert sorted(document.id for document in found) == [f"d{n}" for n in range(7)]
    assert [document.body["n"] for document in found] == [0, 0, 0, 0, 1, 1, 1]


async def test_pages_of_a_prefix_are_ordered_and_together_are_everything(store: Store) -> None:
    places = (HERE, SERVICE, OTHER_ENVIRONMENT)
    for index, place in enumerate(places):
        await store.batch(place, [Create(f"d{n}-{index}", {"n": n}) for n in range(4)])
    await store.batch(OTHER_TENANT, [Create("foreign", {"n": 0})])

    query = Query(order_by="n", limit=5)
    found = [document async for document in pages(store, Prefix("tenant-a"), query)]

    assert [document.body["n"] for document in found] == [n for n in range(4) for _ in places]
    assert len({document.id for document in found}) == 12


async def test_a_continuation_outlives_writes_without_repeats(store: Store) -> None:
    await store.batch(HERE, [Create(f"d{n}", {"n": n}) for n in range(6)])
    first = await store.query(HERE, Query(limit=3))

    await store.batch(HERE, [Delete("d1"), Delete("d4"), Upsert("d0", {"n": 10})])
    second = await store.query(HERE, Query(limit=3, continuation=first.continuation))

    assert [document.id for document in first.documents] == ["d0", "d1", "d2"]
    assert [document.id for document in second.documents] == ["d3", "d5"]
    assert second.continuation is None


@pytest.mark.parametrize(
    "continuation",
    [
        pytest.param("x", id="no-json"),
        pytest.param("{}", id="no-list"),
        pytest.param("[1]", id="of-another-order"),
        pytest.param("[1,2]", id="numbers-as-id-and-partition"),
        pytest.param('[true,"-"]', id="a-boolean-as-id"),
        pytest.param('[{},"-"]', id="an-object-as-key"),
        pytest.param('["\\ud83d","-"]', id="a-lone-surrogate"),
        pytest.param(f'[{2**63},"-"]', id="64-bits-and-one"),
        pytest.param("[" * 100_000, id="nested-without-end"),
        pytest.param("9" * 5_000, id="a-number-without-end"),
    ],
)
async def test_what_no_page_ended_with_is_refused_as_a_continuation(
    store: Store, continuation: str
) -> None:
    await fill(store)

    with pytest.raises(Invalid):
        await store.query(HERE, Query(continuation=continuation))


@pytest.mark.parametrize(
    "continuation",
    [
        pytest.param('["2","a","d1","-"]', id="text-as-rank"),
        pytest.param('[2,null,"d1","-"]', id="nothing-as-value"),
        pytest.param('[true,"a","d1","-"]', id="a-boolean-as-rank"),
        pytest.param('["d1","-"]', id="of-another-order"),
    ],
)
async def test_a_sorted_list_refuses_what_no_page_of_it_ended_with(
    store: Store, continuation: str
) -> None:
    await fill(store)

    with pytest.raises(Invalid) as refused:
        await store.query(HERE, Query(order_by="n", continuation=continuation))
    assert refused.value.code == "InvalidContinuation"


async def test_a_page_of_large_documents_ends_early_and_says_so(store: Store) -> None:
    large = "x" * 900_000
    for n in range(6):
        await store.batch(HERE, [Create(f"d{n}", {"text": large, "dueAt": "2026"})])

    page = await store.query(HERE, Query())
    due = await store.query_due(Query(where=[Where("dueAt", Comparison.LE, "2027")]))
    found = [document.id async for document in pages(store, HERE, Query())]

    for short in (page, due):
        assert short.more
        assert 1 <= len(short.documents) <= 4
    assert found == [f"d{n}" for n in range(6)]


async def test_a_full_last_page_ends(store: Store) -> None:
    await store.batch(HERE, [Create(f"d{n}", {}) for n in range(4)])

    found = [document.id async for document in pages(store, HERE, Query(limit=2))]

    assert found == ["d0", "d1", "d2", "d3"]
