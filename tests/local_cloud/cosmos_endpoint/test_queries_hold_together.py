"""What holds for every query: pages are the whole, order is total, nothing but a refusal fails."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.functions import CURRENT, FUNCTIONS
from local_cloud.cosmos_endpoint.query.values import canonical, equal, sort_key
from tests.kit.cosmos_queries import page, results

SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -0.0, 1e300])
    | st.text("aB é\ud800'\"\\%_", max_size=3)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)
LISTS = st.lists(VALUES, max_size=3)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({}, optional={"a": VALUES, "b": SCALARS, "l": LISTS}), max_size=8
)


def numbered(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**document, "id": f"{number:02}"} for number, document in enumerate(documents)]


def all_pages(sql: str, documents: list[dict[str, Any]], size: int) -> list[Any]:
    rows, token = page(sql, documents, size)
    found = list(rows)
    while token is not None:
        rows, token = page(sql, documents, size, token)
        assert rows
        found += rows
    return found


PAGED = [
    "SELECT * FROM c", "SELECT VALUE c.a FROM c", "SELECT * FROM c ORDER BY c.a",
    "SELECT c.a, c.b FROM c ORDER BY c.b DESC, c.a", "SELECT VALUE i FROM c JOIN i IN c.l",
    "SELECT VALUE i FROM c JOIN i IN c.l ORDER BY c.b DESC", "SELECT DISTINCT VALUE c.a FROM c",
    "SELECT DISTINCT c.b FROM c ORDER BY c.b DESC", "SELECT DISTINCT VALUE c.a FROM c ORDER BY c.b",
    "SELECT c.a, COUNT(1) AS n FROM c GROUP BY c.a", "SELECT TOP 3 * FROM c ORDER BY c.a DESC",
    "SELECT VALUE c.a FROM c OFFSET 1 LIMIT 3", "SELECT DISTINCT VALUE c.b FROM c OFFSET 1 LIMIT 2",
    "SELECT VALUE x FROM (SELECT DISTINCT VALUE c.a FROM c) AS x",
]  # fmt: skip


@pytest.mark.parametrize("sql", PAGED)
@given(documents=DOCUMENTS, size=st.integers(1, 4))
@settings(max_examples=30)
def test_all_pages_together_are_the_whole_result(
    sql: str, documents: list[dict[str, Any]], size: int
) -> None:
    rows = numbered(documents)

    assert all_pages(sql, rows, size) == page(sql, rows)[0]


@pytest.mark.parametrize(
    "sql", ["SELECT VALUE c.id FROM c", "SELECT VALUE c.id FROM c ORDER BY c.b"]
)
@given(documents=DOCUMENTS, size=st.integers(1, 3), gone=st.sets(st.integers(0, 7)))
@settings(max_examples=40)
def test_writes_between_two_pages_repeat_and_skip_nothing(
    sql: str, documents: list[dict[str, Any]], size: int, gone: set[int]
) -> None:
    rows = numbered(documents)
    first, token = page(sql, rows, size)
    left = [row for row in rows if int(row["id"]) not in gone]

    rest = [] if token is None else page(sql, left, 1000, token)[0]

    expected = [each for each in page(sql, rows)[0] if each not in first and int(each) not in gone]
    assert rest == expected


@given(st.lists(VALUES, max_size=12))
def test_the_order_over_all_types_is_total_and_agrees_with_equality(values: list[Any]) -> None:
    documents = [{"v": value} for value in values]

    up = results("SELECT VALUE c.v FROM c ORDER BY c.v", documents)
    down = results("SELECT VALUE c.v FROM c ORDER BY c.v DESC", documents)

    keys = [sort_key(value) for value in up]
    assert keys == sorted(keys)
    assert [sort_key(value) for value in down] == keys[::-1]
    for left in values:
        for right in values:
            assert (sort_key(left) == sort_key(right)) is equal(left, right)
            assert (canonical(left) == canonical(right)) is equal(left, right)


NAMES = sorted(name for name in (*FUNCTIONS, *CURRENT) if name.isidentifier())
LEAVES = st.sampled_from(
    ["c", "c.a", "c.b", "c.l", "c.l[0]", "c['a']", "null", "true", "undefined", "1", "-2.5",
     "1e308", "'x'", "'%a_'", "'2020-01-01T00:00:00Z'", "'ms'", "[]", "{}", "@p", "c.a.b.a"]
)  # fmt: skip
SIGNS = [*"+-*/%&|^<>=", "||", "??", "<<", ">>>", "!=", "AND", "OR"]
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(SIGNS), inner).map(" ".join).map("({})".format),
        inner.map("(NOT {})".format), inner.map("(~{})".format), inner.map("[{}]".format),
        inner.map("{{'k': {}}}".format), inner.map("(SELECT VALUE i FROM i IN {})".format),
        inner.map("ARRAY(SELECT DISTINCT VALUE i FROM i IN c.l WHERE {})".format),
        inner.map("EXISTS(SELECT VALUE i FROM i IN c.l WHERE {})".format),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} BETWEEN {t[1]} AND {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} IN ({t[1]}, 1))"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} LIKE {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
        st.tuples(st.sampled_from(NAMES), st.lists(inner, max_size=4)).map(
            lambda t: f"{t[0]}({', '.join(t[1])})"
        ),
    ),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.long
@given(expression=EXPRESSIONS, documents=DOCUMENTS, parameter=VALUES)
@example("RegexMatch('a', '[')", [{}], None)
@example("DateTimeAdd('yyyy', 1e300, '2020-01-01T00:00:00Z')", [{}], None)
@example("IntMul(1e308, 1e308)", [{}], None)
@example("TicksToDateTime(1e300)", [{}], None)
@example("NumberBin(1, 0)", [{}], None)
@example("REPLICATE('', 1e308)", [{}], None)
@settings(max_examples=400, deadline=None)
def test_every_expression_has_json_or_is_refused(
    expression: str, documents: list[dict[str, Any]], parameter: Any
) -> None:
    for sql in (
        f"SELECT VALUE {expression} FROM c",
        f"SELECT COUNT({expression}) AS n, MAX({expression}) AS m, SUM({expression}) AS s FROM c",
        f"SELECT c.b FROM c WHERE {expression}",
        f"SELECT COUNT(1) AS n FROM c GROUP BY {expression}",
    ):
        try:
            found = results(sql, documents, p=parameter)
        except SqlRefused:
            continue
        json.dumps(found, allow_nan=False)


WORDS = [
    "SELECT",
    "VALUE",
    "*",
    "FROM",
    "c",
    "c.a",
    ",",
    "(",
    ")",
    "WHERE",
    "IN",
    "[",
    "]",
    "{",
    "}",
    "1",
    "'x'",
    "AS",
    "JOIN",
    "GROUP",
    "BY",
    "ORDER",
    "TOP",
    "DISTINCT",
    "OFFSET",
    "LIMIT",
    "NOT",
    "AND",
    "EXISTS",
    "COUNT",
    ":",
    "?",
    "--",
    "/*",
    "@p",
    "udf.",
    "BETWEEN",
    "LIKE",
    ".",
    "-",
]


@given(st.lists(st.sampled_from(WORDS), max_size=14))
@settings(max_examples=500)
def test_any_words_are_a_query_or_refused(words: list[str]) -> None:
    for text in (" ".join(words), "SELECT * FROM c WHERE " + " ".join(words)):
        with contextlib.suppress(SqlRefused):
            results(text, [{"a": 1}], p=1)


DEEP = [
    "SELECT VALUE " + "(" * 2000 + "1" + ")" * 2000,
    "SELECT VALUE " + "[" * 2000 + "]" * 2000,
    "SELECT VALUE " + "ABS(" * 2000 + "1" + ")" * 2000,
    "SELECT VALUE " + "- " * 50_000 + "1",
    "SELECT VALUE " + "1 + " * 50_000 + "1",
    "SELECT VALUE " + "1 ? 1 : " * 5_000 + "1",
    "SELECT VALUE c" + ".a" * 50_000 + " FROM c",
    "SELECT VALUE " + "(SELECT VALUE " * 500 + "1" + ")" * 500,
    "SELECT VALUE 1 FROM " + "(SELECT VALUE 1 FROM " * 500 + "c" + ")" * 500,
    "SELECT * FROM c" + " JOIN i IN c.l" * 100,
    "SELECT VALUE '" + "x" * 600_000 + "'",
    "/*" * 200_000,
    "SELECT * FROM c WHERE c.a = 1" + " AND c.a = 1" * 20_000,
    "SELECT * FROM c WHERE c.a IN (" + "1, " * 30_000 + "1)",
    "SELECT VALUE " + "9" * 400,
    "SELECT VALUE 0x" + "F" * 5_000,
]


@pytest.mark.parametrize("sql", DEEP, ids=lambda sql: sql[:30])
def test_what_nests_too_deep_or_is_too_long_is_refused(sql: str) -> None:
    with pytest.raises(SqlRefused):
        results(sql, [{"a": 1}])


LONG = [{"l": list(range(300)), "t": "ab" * 20_000}]
JOINED = " ".join(f"JOIN {name} IN c.l" for name in "defg")


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT VALUE COUNT(1) FROM c {JOINED}",
        f"SELECT VALUE 1 FROM c WHERE EXISTS(SELECT VALUE 1 FROM x IN c.l {JOINED} WHERE false)",
        "SELECT VALUE x FROM (SELECT VALUE [x, x] FROM (SELECT VALUE "
        + "[x, x] FROM (SELECT VALUE " * 20 + "c.l FROM c" + ") AS x" * 21 + ") AS x",
        "SELECT VALUE " + "CONCAT(c.t, " * 60 + "c.t" + ")" * 60 + " FROM c",
        "SELECT VALUE " + "REPLACE(" * 6 + "c.t" + ", 'a', c.t)" * 6 + " FROM c",
        ("SELECT VALUE COUNT(1) FROM c JOIN d IN c.l JOIN e IN c.l JOIN f IN c.l"
        " WHERE CONTAINS(c.t, 'abc')"),
        "SELECT VALUE COUNT(1) FROM c JOIN d IN c.l WHERE RegexMatch('a', ToString(d))",
    ],
    ids=["joins", "a-subquery", "nested-literals", "texts", "replaced-texts", "long-texts",
         "patterns-of-rows"],
)  # fmt: skip
def test_a_query_that_costs_too_much_ends_with_a_refusal(sql: str) -> None:
    with pytest.raises(SqlRefused, match=r"at most|more than"):
        results(sql, LONG)


@pytest.mark.parametrize(
    "expression",
    ["RegexMatch(c.t, '(a+)+$')", "RegexMatch(c.t, '^(([a-z])+.)+[A-Z]([a-z])+$')",
     "c.t LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%c'", f"c.t LIKE '%{'a' * 300}b'"],
)  # fmt: skip
def test_no_pattern_takes_for_ever(expression: str) -> None:
    assert results(f"SELECT VALUE {expression} FROM c", [{"t": "a" * 100_000 + "!"}]) == [False]
