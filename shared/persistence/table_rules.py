"""What a table takes, by the limits of Azure Table storage; every adapter makes the same checks.

https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
"""

import math
import re
from collections.abc import Sequence
from typing import Final

from shared.kernel.errors import Invalid, TooLarge
from shared.persistence.tables import TableRow, Value

ROWS_MAX: Final = 100
"""An entity group transaction's bound: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions."""
KEY_MAX: Final = 512
"""Characters of a partition key or a row key; those above U+FFFF count twice."""
TEXT_MAX: Final = 32 * 1024
"""Characters of one text; those above U+FFFF count twice."""
ROW_MAX_BYTES: Final = 1024 * 1024
TRANSACTION_MAX_BYTES: Final = 4 * 1024 * 1024
VALUES_MAX: Final = 252
INTEGER_BITS: Final = 64
_ENVELOPE_BYTES: Final = 1024
"""What one row of a transaction has around it on the wire, at most: its request's head."""
_TABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_KEY: Final = re.compile(r"[^/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_RESERVED: Final = frozenset({"PartitionKey", "RowKey", "Timestamp"})


def checked_table(name: str) -> str:
    """Return *name* if a table may have it. Raises Invalid."""
    if not _TABLE.fullmatch(name):
        raise Invalid(f"a table's name is 3 to 63 letters and digits, got {name!r}")
    return name


def is_key(text: str) -> bool:
    """Return whether a row can have *text* as one of its keys."""
    return _KEY.fullmatch(text) is not None and _utf16_bytes(text) <= 2 * KEY_MAX


def checked_rows(rows: Sequence[TableRow]) -> Sequence[TableRow]:
    """Return *rows* if one transaction may write them.

    Raises:
        Invalid: a key, a name or a value is none that Table storage takes, or keys do not agree.
        TooLarge: too many rows, or too much for one transaction.
    """
    if len(rows) > ROWS_MAX:
        raise TooLarge(f"one transaction writes at most {ROWS_MAX} rows, got {len(rows)}")
    if len({row.partition_key for row in rows}) > 1:
        raise Invalid("the rows of one transaction have one partition key, got several")
    if len({row.row_key for row in rows}) < len(rows):
        raise Invalid("one transaction writes a row key once, got one twice")
    size = sum(_checked_size(row) + _ENVELOPE_BYTES for row in rows)
    if size > TRANSACTION_MAX_BYTES:
        raise TooLarge(f"one transaction writes at most {TRANSACTION_MAX_BYTES} bytes, got {size}")
    return rows


def _checked_size(row: TableRow) -> int:
    """Return how many bytes *row* takes, as Table storage counts them. Raises Invalid."""
    for key in (row.partition_key, row.row_key):
        if not is_key(key):
            raise Invalid(
                f"a key is at most {KEY_MAX} characters, none of / \\ # ? nor a control"
                f" character, got {key[:80]!r}"
            )
    if len(row.values) > VALUES_MAX:
        raise Invalid(f"a row has at most {VALUES_MAX} values, got {len(row.values)}")
    size = 4 + _utf16_bytes(row.partition_key) + _utf16_bytes(row.row_key)
    for name, value in row.values.items():
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise Invalid(
                "a value's name is letters, digits and _, and not PartitionKey, RowKey or"
                f" Timestamp, got {name[:80]!r}"
            )
        size += 8 + 2 * len(name) + _value_bytes(name, value)
    if size > ROW_MAX_BYTES:
        raise Invalid(f"a row has at most {ROW_MAX_BYTES} bytes, got {size}")
    return size


def _value_bytes(name: str, value: Value) -> int:
    match value:
        case bool():
            return 1
        case int():
            if not -(2 ** (INTEGER_BITS - 1)) <= value < 2 ** (INTEGER_BITS - 1):
                raise Invalid(f"{name!r} must be a whole number of {INTEGER_BITS} bits")
            return 8
        case float():
            if not math.isfinite(value):
                raise Invalid(f"{name!r} must be a finite number, got {value}")
            return 8
        case str():
            return 4 + _text_bytes(name, value)
        case _:
            raise Invalid(f"{name!r} must be text, number or bool, got {type(value).__name__}")


def _text_bytes(name: str, text: str) -> int:
    try:
        size = _utf16_bytes(text)
    except UnicodeEncodeError as problem:
        raise Invalid(f"{name!r} has half of a surrogate pair, which is no character") from problem
    if size > 2 * TEXT_MAX:
        raise Invalid(f"{name!r} must be text of at most {TEXT_MAX} characters, got {size // 2}")
    return size


def _utf16_bytes(text: str) -> int:
    return len(text.encode("utf-16-le"))
