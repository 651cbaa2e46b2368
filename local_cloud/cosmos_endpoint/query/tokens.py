"""Cuts the text of a query into words, numbers, texts, parameters and signs."""

import json
import math
import re
from typing import Final, NamedTuple

from local_cloud.cosmos_endpoint.query.errors import SqlRefused

QUERY_MAX_CHARACTERS: Final = 512 * 1024
"""https://learn.microsoft.com/azure/cosmos-db/concepts-limits#sql-query-limits"""
TOKENS_MAX: Final = 50_000
"""Words and signs: half a second to parse. `IN` with 20,000 ids has 40,000."""
_HEXADECIMAL_MAX: Final = 15
"""`0x` and 13 digits: exact as a double."""
_INTEGER_MAX: Final = 19
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<number>0[xX][0-9A-Fa-f]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<parameter>@\w+)
    |(?P<name>[^\W\d]\w*)
    |(?P<sign><=|>>>|>=|!=|<>|<<|>>|\?\?|\|\||[=<>(),.\[\]{}:?*/%+&|^~-])""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """`kind` is number, text, parameter, name, sign, or end; `word` is what syntax compares."""

    kind: str
    text: str
    word: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of *text*, the last of kind end. Raises SqlRefused."""
    if len(text) > QUERY_MAX_CHARACTERS:
        raise SqlRefused(f"a query has at most {QUERY_MAX_CHARACTERS} characters, got {len(text)}")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SqlRefused(f"syntax error near {text[at : at + 20]!r}")
        kind, at = match.lastgroup or "", match.end()
        if len(tokens) == TOKENS_MAX:
            raise SqlRefused(f"a query has at most {TOKENS_MAX:,} words and signs")
        if kind != "space":
            token = match[0]
            word = token if kind == "sign" else token.upper() if kind == "name" else f"({kind})"
            tokens.append(Token(kind, token, word, match.start(), at))
    tokens.append(Token("end", "", "", at, at))
    return tokens


def number_of(text: str) -> int | float:
    """Return the number that a token of that kind writes."""
    if text[:2] in {"0x", "0X"} and len(text) <= _HEXADECIMAL_MAX:
        return int(text, 16)
    if text.isdecimal() and len(text) <= _INTEGER_MAX and int(text) < 2**63:  # exact in 64 bits
        return int(text)
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise SqlRefused(f"a number is a double, at most 1.8e308, got {text[:40]}")
    return value


def text_of(quoted: str) -> str:
    """Return the text between the quotes of *quoted*, escapes read. Raises SqlRefused."""
    inner = quoted[1:-1]
    if quoted[0] == "'":
        inner = re.sub(r'\\(.)|"', _in_double_quotes, inner, flags=re.DOTALL)
    else:
        inner = inner.replace("\\'", "'")
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError as problem:
        raise SqlRefused(f"not a text: {quoted[:40]}") from problem


def _in_double_quotes(match: re.Match[str]) -> str:
    if match[0] == '"':
        return '\\"'
    return "'" if match[1] == "'" else match[0]
