"""Each code that the source can answer stands on one page of `docs/errors/`, and no other does."""

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from cli.error_pages import codes_of_fields, error_rows
from shared.contracts.alerts import Alert
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.operation import ABANDONED, CANCELED, SUPERSEDED

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = [
    path
    for folder in ("shared", "function_apps", "local_agent", "local_cloud/infrastructure")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
_NOT_SUPPORTED: Final = re.compile(r"[A-Z][A-Za-z]+NotSupported")
OF_THE_TOKEN_LIBRARY: Final = frozenset(
    {"WrongAudience", "WrongIssuer", "BadSignature", "MissingClaim", "InvalidToken"}
)
"""Chosen by the kind of the library's exception, so no constructor names them."""
OF_ENDED_OPERATIONS: Final = frozenset({ABANDONED, CANCELED, SUPERSEDED})


def _text(node: ast.expr | None) -> Iterator[str]:
    match node:
        case ast.Constant(str(text)) if text:
            yield text
        case ast.Name(name) | ast.Attribute(_, name) if name in _constants():
            yield _constants()[name]
        case ast.Attribute(ast.Attribute(ast.Name("Alert"), name), "value"):
            yield Alert[name]
        case ast.IfExp(_, body, orelse):
            yield from (*_text(body), *_text(orelse))


@cache
def _constants() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for path in SOURCES:
        for line in ast.parse(path.read_text()).body:
            match line:
                case ast.AnnAssign(ast.Name(name), ast.Name("Final"), ast.Constant(str(text))):
                    found[name] = text
    return found


def _codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.keyword("code", value):
                yield from _text(value)
            case ast.Dict(keys, values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "code":
                        yield from _text(value)
            case ast.ClassDef(_, _, _, body):
                for line in body:
                    match line:
                        case ast.Assign([ast.Name("code")], value):
                            yield from _text(value)


def _codes_of_details(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name("Violation" | "_violation"), [code, *_]):
                yield from _text(code)
            case ast.Constant(str(text)) if _NOT_SUPPORTED.fullmatch(text):  # some are in tables
                yield text


def _codes_of_classes(family: type[Refused | Unavailable]) -> Iterator[str]:
    yield family.code
    for kind in family.__subclasses__():
        if kind.__module__.startswith(
            ("shared.", "function_apps.", "local_agent.", "local_cloud.")
        ):  # tests have their own
            yield from _codes_of_classes(kind)


def raised() -> set[str]:
    for path in SOURCES:
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    trees = [ast.parse(path.read_text()) for path in SOURCES]
    named = {code for tree in trees for code in (*_codes(tree), *_codes_of_details(tree))}
    return {
        *named, *_codes_of_classes(Refused), *_codes_of_classes(Unavailable), *OF_ENDED_OPERATIONS
    }  # fmt: skip


def test_each_code_has_a_row_and_each_row_a_code() -> None:
    documented = {row.code for row in error_rows()}

    named, answered = documented | {*codes_of_fields()}, raised()
    assert answered - named == set(), "write the row: what do caller, operator, developer do?"
    assert documented - answered - OF_THE_TOKEN_LIBRARY == set(), "nothing says this any more"


def test_a_code_stands_once_under_an_anchor_of_its_own_name() -> None:
    counted = Counter(row.code for row in error_rows())

    assert [code for code, count in counted.items() if count > 1] == []
    assert all(row.anchor == row.code for row in error_rows())


def test_a_row_says_what_it_means_and_what_three_people_do() -> None:
    for row in error_rows():
        assert row.meaning.endswith("."), row.code
