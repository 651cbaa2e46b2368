"""Which messages a condition of a SQL rule takes."""

import time
from typing import Any

import pytest

from local_cloud.broker.message import AmqpMessage
from local_cloud.broker.rules import SqlFilter
from shared.kernel.errors import Invalid

MESSAGE = AmqpMessage(
    b"",
    "id-1",
    "Order",
    correlation_id="corr-1",
    application_properties={
        "Color": "red", "count": 7, "ratio": 2.5, "urgent": True, "quote": "it's", "a b": "x",
        "percent": "50%", "lines": "one\ntwo",
    },
    session_id="s-1",
    reply_to="back",
)  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        "1=1",
        "color = 'red'",
        "user.Color = 'red' AND sys.Label = 'Order'",
        "sys.CorrelationId LIKE 'corr-%' and sys.SessionId='s-1' AND sys.ReplyTo = 'back'",
        "count > 6 AND count >= 7 AND count < 8 AND count <= 7 AND count <> 8 AND count != 8",
        "count IN (1, 3 + 4) AND color NOT IN ('blue', 'green')",
        "color LIKE '_e%' AND color NOT LIKE 'e%' AND color LIKE '%e%'",
        "percent LIKE '50#%' ESCAPE '#'",
        "lines LIKE 'one%two'",
        "urgent = TRUE AND NOT urgent = FALSE",
        "quote = 'it''s'",
        "[a b] = 'x' AND \"a b\" = 'x'",
        "EXISTS(color) AND NOT EXISTS(missing)",
        "missing IS NULL AND color IS NOT NULL",
        "count * 2 - 4 = 10 AND count / 2 = 3 AND count % 4 = 3 AND -count = -7 AND - -count = 7",
        "ratio = 2.5 AND ratio + 0.5 = 3 AND ratio = 25e-1 AND count = 0x7",
        "color + '-x' = 'red-x'",
        "property('color') = 'red' AND p(color) = 'red'",
        "missing = 1 OR count = 7",
        "NOT (missing = 1 AND count = 8)",
        "((color = 'red'))",
    ],
)
def test_a_message_is_taken_by(condition: str) -> None:
    assert SqlFilter(condition).matches(MESSAGE)


@pytest.mark.parametrize(
    "condition",
    [
        "1=0",
        "color = 'RED'",
        "missing = 1",
        "missing <> 1",
        "NOT missing = 1",
        "NOT (missing = 1 AND count = 7)",
        "missing = 1 AND count = 7",
        "missing NOT IN (1)",
        "missing LIKE '%'",
        "missing NOT LIKE 'x'",
        "color IN ('blue', missing)",
        "color NOT IN ('blue', missing)",
        "missing = NULL",
        "missing + 1 = 1",
        "count = '7'",
        "count <> '7'",
        "urgent = 1",
        "count / 0 = 1",
        "count",
        "color LIKE 'r'",
        "color > 1",
    ],
)
def test_a_message_is_not_taken_where_it_is_false_or_unknown(condition: str) -> None:
    assert not SqlFilter(condition).matches(MESSAGE)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("", "expected a value, found 'the end'"),
        ("color =", "expected a value"),
        ("color = 'red", "character 8"),
        ("color == 'red'", "expected a value, found '='"),
        ("color = 'red' blue", "expected the end, found 'blue'"),
        ("(color = 'red'", r"expected \)"),
        ("color NOT = 1", "expected IN or LIKE"),
        ("sys.Nothing = 1", "sys.Nothing is not served"),
        ("other.color = 1", "'other' is no scope"),
        ("newid() = 'x'", "function 'newid'"),
        ("color = @wanted", "character 8"),
        ("a = 1 OR " * 200 + "a = 1", "at most 1024"),
        ("(" * 40 + "1=1" + ")" * 40, "more than 32"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_place(condition: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        SqlFilter(condition)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("%a" * 300 + "%b", "a" * 30_000), ("_%" * 300 + "b", "a" * 30_000)],
    ids=["many-wildcards", "many-single-wildcards"],
)
def test_no_pattern_takes_long(pattern: str, text: str) -> None:
    properties: dict[str, Any] = {"text": text}
    message = AmqpMessage(b"", "id", application_properties=properties)
    began_s = time.process_time()
    taken = SqlFilter(f"text LIKE '{pattern}'").matches(message)

    assert not taken
    assert time.process_time() - began_s < 2
