"""The clauses of Cosmos DB's query language give what they give there.

Source: https://learn.microsoft.com/azure/cosmos-db/nosql/query/, a page for each clause.
"""

from typing import Any

import pytest

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from tests.kit.cosmos_queries import results

FAMILIES: list[dict[str, Any]] = [
    {"id": "a", "n": 1, "s": "even", "tags": ["x", "y"], "kids": [{"g": 5, "k": "f"}, {"g": 1}]},
    {"id": "b", "n": 2, "s": "odd", "tags": ["y"], "kids": []},
    {"id": "c", "n": 3, "s": "even", "tags": [], "a b": {"c": 7}},
    {"id": "d", "n": 4, "s": None, "kids": [{"g": 5, "k": "m"}]},
]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT VALUE c.n FROM c", [1, 2, 3, 4]),
        ("select value c.n from c where c.n > 2 order by c.n desc", [4, 3]),
        ("SELECT c.n AS number, c.s FROM c WHERE c.id = 'a'", [{"number": 1, "s": "even"}]),
        ("SELECT c.n number FROM c WHERE c.id = 'a'", [{"number": 1}]),
        ("SELECT c.n, 1 + 1, 'x' FROM c WHERE c.id = 'a'", [{"n": 1, "$1": 2, "$2": "x"}]),
        ("SELECT c.missing FROM c WHERE c.id = 'a'", [{}]),
        ("SELECT VALUE c.missing FROM c", []),
        (
            "SELECT VALUE {'n': c.n, m: c.missing, l: [c.n, c.missing, null]} FROM c WHERE c.n = 1",
            [{"n": 1, "l": [1, None]}],
        ),
        ("SELECT VALUE c['a b'].c FROM c", [7]),
        ('SELECT c["a b"] FROM c WHERE c.n = 3', [{"a b": {"c": 7}}]),
        ("SELECT VALUE c.kids[0].g FROM c", [5, 5]),
        ("SELECT VALUE f.n FROM families f", [1, 2, 3, 4]),
        ("SELECT VALUE k.g FROM k IN c.kids", [5, 1, 5]),
        ("SELECT VALUE kids FROM c.kids WHERE kids[0].k = 'm'", [[{"g": 5, "k": "m"}]]),
        ("SELECT TOP 2 VALUE c.n FROM c", [1, 2]),
        ("SELECT VALUE c.n FROM c OFFSET 1 LIMIT 2", [2, 3]),
        ("SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 1 LIMIT 10", [3, 2, 1]),
        ("SELECT VALUE 1 + 2", [3]),
        ("SELECT 'a' AS x", [{"x": "a"}]),
        ("-- a comment\nSELECT VALUE c.n /* another */ FROM c WHERE c.n = 1 -- end", [1]),
    ],
)
def test_a_query_shows_what_it_selects(sql: str, expected: list[Any]) -> None:
    assert results(sql, FAMILIES) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT c.n, k.g FROM c JOIN k IN c.kids",
            [{"n": 1, "g": 5}, {"n": 1, "g": 1}, {"n": 4, "g": 5}],
        ),
        (
            "SELECT VALUE [k.g, t] FROM c JOIN k IN c.kids JOIN t IN c.tags",
            [[5, "x"], [5, "y"], [1, "x"], [1, "y"]],
        ),
        (
            "SELECT VALUE k.g FROM c JOIN (SELECT VALUE k FROM k IN c.kids WHERE k.g > 1) AS k",
            [5, 5],
        ),
        (
            "SELECT VALUE c.n FROM c WHERE EXISTS(SELECT VALUE k FROM k IN c.kids WHERE k.k = 'm')",
            [4],
        ),
        ("SELECT VALUE c.n FROM c WHERE NOT EXISTS (SELECT VALUE t FROM t IN c.tags)", [3, 4]),
        (
            "SELECT VALUE ARRAY(SELECT VALUE k.g FROM k IN c.kids WHERE k.g < 9) FROM c",
            [[5, 1], [], [], [5]],
        ),
        ("SELECT VALUE (SELECT VALUE COUNT(1) FROM t IN c.tags) FROM c", [2, 1, 0, 0]),
        ("SELECT VALUE (SELECT VALUE MAX(k.g) FROM k IN c.kids) FROM c WHERE c.n = 1", [5]),
        (
            "SELECT c.id, (SELECT VALUE k.g FROM k IN c.kids WHERE k.k='f') g FROM c WHERE c.n<3",
            [{"id": "a", "g": 5}, {"id": "b"}],
        ),
        ("SELECT VALUE x FROM (SELECT VALUE c.n FROM c WHERE c.n > 2) AS x", [3, 4]),
        ("SELECT VALUE COUNT(1) FROM (SELECT DISTINCT VALUE c.s FROM c)", [3]),
    ],
)
def test_joins_and_subqueries_range_over_parts_of_a_document(sql: str, expected: list[Any]) -> None:
    assert results(sql, FAMILIES) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT VALUE COUNT(1) FROM c", [4]), ("SELECT VALUE COUNT(c.tags) FROM c", [3]),
        ("SELECT COUNT(1) AS n, SUM(c.n) AS total, AVG(c.n) AS mean FROM c",
         [{"n": 4, "total": 10, "mean": 2.5}]),
        ("SELECT MIN(c.s), MAX(c.s) FROM c", [{"$2": "odd", "$1": None}]),
        ("SELECT VALUE SUM(c.s) FROM c", []), ("SELECT VALUE AVG(c.missing) FROM c", []),
        ("SELECT VALUE MAX(c.tags) FROM c", []),
        ("SELECT COUNT(1) AS n, SUM(c.n) AS s, MIN(c.n) AS m FROM c WHERE false",
         [{"n": 0, "s": 0}]),
        ("SELECT VALUE SUM(c.n) / COUNT(1) FROM c", [2.5]),
        ("SELECT c.s, COUNT(1) AS n FROM c GROUP BY c.s",
         [{"s": None, "n": 1}, {"s": "even", "n": 2}, {"s": "odd", "n": 1}]),
        ("SELECT c.missing, COUNT(1) AS n FROM c GROUP BY c.missing", [{"n": 4}]),
        ("SELECT VALUE c.s FROM c WHERE IS_STRING(c.s) GROUP BY c.s", ["even", "odd"]),
        ("SELECT UPPER(c.s) AS u, MAX(c.n) AS m FROM c WHERE c.n < 4 GROUP BY UPPER(c.s)",
         [{"u": "EVEN", "m": 3}, {"u": "ODD", "m": 2}]),
        ("SELECT t, COUNT(1) AS n FROM c JOIN t IN c.tags GROUP BY t",
         [{"t": "x", "n": 1}, {"t": "y", "n": 2}]),
        ("SELECT DISTINCT VALUE c.s FROM c", [None, "even", "odd"]),
        ("SELECT DISTINCT VALUE t FROM c JOIN t IN c.tags", ["x", "y"]),
        ("SELECT DISTINCT c.s FROM c ORDER BY c.s DESC",
         [{"s": "odd"}, {"s": "even"}, {"s": None}]),
        ("SELECT DISTINCT TOP 1 VALUE c.s FROM c ORDER BY c.s DESC", ["odd"]),
    ],
)  # fmt: skip
def test_rows_are_counted_grouped_and_made_distinct(sql: str, expected: list[Any]) -> None:
    assert results(sql, FAMILIES) == expected


def test_distinct_tells_one_from_true_and_not_from_one_point_zero() -> None:
    documents = [{"v": value} for value in (1, 1.0, True, "1", [1], [1.0], {"a": 1, "b": 2})]

    found = results("SELECT DISTINCT VALUE c.v FROM c", [*documents, {"v": {"b": 2.0, "a": 1}}])

    assert found == [True, 1, "1", [1], {"a": 1, "b": 2}]


MIXED = [None, False, True, -3, 0, 7.5, "", "Zoo", "a", [1], {"a": 1}]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_values_of_all_types_are_ordered_by_their_types(direction: str) -> None:
    shuffled = [*MIXED[5:], *MIXED[:5]]

    found = results(
        f"SELECT VALUE c.v FROM c ORDER BY c.v {direction}", [{"v": v} for v in shuffled]
    )

    assert found == (MIXED if direction == "ASC" else MIXED[::-1])


def test_an_order_by_one_path_leaves_out_what_has_none_and_by_two_does_not() -> None:
    documents = [{"a": 2}, {}, {"a": 1}]

    assert results("SELECT VALUE c.id FROM c ORDER BY c.a", documents) == ["2", "0"]
    assert results("SELECT VALUE c.id FROM c ORDER BY c.a, c.id DESC", documents) == ["1", "2", "0"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"p": 2}, ["b"]), ({"p": 2.0}, ["b"]), ({"p": None}, []), ({"p": "2"}, []),
        ({"p": True}, []), ({"p": [2]}, []),
    ],
)  # fmt: skip
def test_a_parameter_is_a_value_of_its_type(
    parameters: dict[str, Any], expected: list[str]
) -> None:
    assert results("SELECT VALUE c.id FROM c WHERE c.n = @p", FAMILIES, **parameters) == expected


def test_lists_and_objects_are_parameters_too() -> None:
    contained = "SELECT VALUE c.n FROM c WHERE ARRAY_CONTAINS(@list, c.n)"
    partial = "SELECT VALUE c.n FROM c WHERE ARRAY_CONTAINS(c.kids, @part, true)"

    assert results(contained, FAMILIES, list=[1, 4, "2"]) == [1, 4]
    assert results(partial, FAMILIES, part={"g": 5}) == [1, 4]
    assert results(
        "SELECT VALUE c.n FROM c ORDER BY c.n OFFSET @o LIMIT @l", FAMILIES, o=1, l=2.0
    ) == [2, 3]
    assert results("SELECT VALUE c[@name] FROM c WHERE c.n = 1", FAMILIES, name="s") == ["even"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "Syntax error"), ("SELECT", "Syntax error"), ("SELECT * FROM", "Syntax error"),
        ("SELECT * FROM c WHERE", "Syntax error"), ("SELECT *, c.n FROM c", "Syntax error"),
        ("SELECT c.a c.b FROM c", "Syntax error"),
        ("SELECT * FROM c; DROP TABLE c", "syntax error"),
        ("SELECT * FROM c WHERE x.a = 1", "'x' could not be resolved"),
        ("SELECT VALUE c FROM families f", "'c' could not be resolved"),
        ("SELECT * FROM c JOIN k IN c.kids", "single input set"),
        ("SELECT c.a, c.b AS a FROM c", "twice"),
        ("SELECT BADFUNC(c.a) FROM c", "'BADFUNC' is not a recognized built-in function name"),
        ("SELECT * FROM c WHERE STARTSWITH(c.a, 'a', true, 1)", "requires 2 to 3 argument"),
        ("SELECT * FROM c ORDER BY LOWER(c.a)", "could not be mapped to a document path"),
        ("SELECT * FROM c ORDER BY 1", "could not be mapped to a document path"),
        ("SELECT VALUE k FROM c JOIN k IN c.kids ORDER BY k.g", "correlated collections"),
        ("SELECT VALUE k FROM k IN c.kids ORDER BY k.g", "correlated collections"),
        ("SELECT VALUE MAX(MIN(c.a)) FROM c", "expression containing an aggregate"),
        ("SELECT * FROM c GROUP BY c.a", "'SELECT *' is not allowed with GROUP BY"),
        ("SELECT c.b, COUNT(1) FROM c GROUP BY c.a", "GROUP BY clause"),
        ("SELECT c.a, COUNT(1) FROM c", "GROUP BY clause"),
        ("SELECT c.a FROM c GROUP BY c.a ORDER BY c.a", "ORDER BY is not allowed"),
        ("SELECT * FROM c WHERE COUNT(1) > 1", "select list only"),
        ("SELECT udf.f(c.a) FROM c", "user-defined functions"),
        ("SELECT * FROM c WHERE ST_DISTANCE(c.a, c.b) < 1", "ST_DISTANCE is not served"),
        ("SELECT * FROM c ORDER BY RANK FullTextScore(c.a, ['x'])", "RANK is not served"),
        ("SELECT * FROM c WHERE c.a = @none", "@none has no value"),
        ("SELECT TOP -1 * FROM c", "TOP, OFFSET and LIMIT"),
        ("SELECT TOP 'x' * FROM c", "TOP, OFFSET and LIMIT"),
        ("SELECT * FROM c OFFSET 1", "Syntax error"),
        ("SELECT VALUE (SELECT VALUE k FROM k IN c.kids) FROM c",
         "cardinality of a scalar subquery"),
        ("SELECT * FROM c WHERE RegexMatch(c.s, '(?=x)')", "pattern is not served"),
    ],
)  # fmt: skip
def test_what_is_no_query_or_not_served_is_refused_with_its_name(sql: str, words: str) -> None:
    with pytest.raises(SqlRefused, match=words.replace("*", r"\*").replace("(", r"\(")):
        results(sql, FAMILIES)


def test_sums_beyond_a_double_are_undefined() -> None:
    huge = [{"v": 10**308}, {"v": 9 * 10**307}, {"v": 0.5}, {"v": 10**308}]

    assert results("SELECT VALUE SUM(c.v) FROM c", huge) == []
    assert results("SELECT AVG(c.v) AS a, MAX(c.v) AS m FROM c", huge) == [{"m": 10**308}]
    assert results("SELECT VALUE ARRAY_SUM([c.v, c.v, c.v]) FROM c WHERE c.v > 1", huge) == []
    assert results("SELECT VALUE StringToNumber('1e400')") == []


COAT = {
    "id": "1", "name": "Snow coat", "price": 20, "units": "kg", "tags": ["winter", "sale"],
    "inventory": [{"place": "Redmond, WA", "n": 50}, {"place": "Seattle, WA", "n": 30},
                  {"place": "Washington, DC", "n": 25}],
}  # fmt: skip
HAT = {"id": "2", "name": "Hat", "price": 5, "units": "g"}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT (SELECT VALUE 1) AS a, (SELECT VALUE 2) AS b", [{"a": 1, "b": 2}]),
        (
            "SELECT p.id, (SELECT p.name WHERE CONTAINS(p.name, 'coat')).name FROM products p",
            [{"id": "1", "name": "Snow coat"}, {"id": "2"}],
        ),
        (
            (
                "SELECT VALUE COUNT(1) FROM products p"
                " JOIN (SELECT VALUE t FROM t IN p.tags WHERE t IN ('winter', 'fall'))"
                " JOIN (SELECT VALUE i FROM i IN p.inventory WHERE i.n BETWEEN 26 AND 99)"
            ),
            [2],
        ),
        (
            (
                "SELECT VALUE {total: full} FROM p JOIN (SELECT VALUE p.price * 1.25) full"
                " WHERE full < 22.25"
            ),
            [{"total": 6.25}],
        ),
        (
            (
                "SELECT s.id, s.price * m.multiplier AS w FROM s JOIN m IN (SELECT VALUE ["
                "{unit: 'g', multiplier: 1}, {unit: 'kg', multiplier: 1000}]) WHERE s.units=m.unit"
            ),
            [{"id": "1", "w": 20000}, {"id": "2", "w": 5}],
        ),
        (
            (
                "SELECT p.name, (SELECT COUNT(1) AS n, SUM(i.n) AS total FROM i IN p.inventory"
                " WHERE ENDSWITH(i.place, 'WA')) AS stock FROM p WHERE p.id = '1'"
            ),
            [{"name": "Snow coat", "stock": {"n": 2, "total": 80}}],
        ),
        (
            (
                "SELECT p.name, data.mean FROM p JOIN (SELECT COUNT(1) AS n, AVG(i.n) AS mean"
                " FROM i IN p.inventory WHERE i.n > 10) AS data WHERE data.n >= 1"
            ),
            [{"name": "Snow coat", "mean": 35}],
        ),
        ("SELECT EXISTS (SELECT VALUE undefined)", [{"$1": False}]),
        ("SELECT EXISTS (SELECT undefined)", [{"$1": True}]),
        (
            (
                "SELECT p.name, ARRAY(SELECT VALUE i.place FROM i IN p.inventory WHERE i.n>26) at"
                " FROM p WHERE EXISTS (SELECT VALUE t FROM t IN p.tags WHERE t = 'sale')"
            ),
            [{"name": "Snow coat", "at": ["Redmond, WA", "Seattle, WA"]}],
        ),
        (
            (
                "SELECT p.name, p.price > 10 ? p.price*0.5 : p.price AS total, p.tags[0] ?? '-' t"
                " FROM products p"
            ),
            [
                {"name": "Snow coat", "total": 10, "t": "winter"},
                {"name": "Hat", "total": 5, "t": "-"},
            ],
        ),
    ],
)
def test_the_examples_of_the_pages_on_subqueries_and_operators_work(
    sql: str, expected: list[Any]
) -> None:
    assert results(sql, [COAT, HAT]) == expected
