"""What is filled into a query stays a value: no id ends its string or widens its expression."""

import re
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.metrics import Dialect, placeholders
from shared.metrics.port import Subject
from shared.metrics.query_text import filled
from shared.surfaces.spec import SurfaceComponent
from tests.metrics.providers import COMPONENT

SUBJECT: Final = Subject(COMPONENT, 2)


class Named:
    """A component with a name that no component may have."""

    environment = "env-1"
    tenant = "acme"

    def __init__(self, module: str) -> None:
        self.module = module


def named(module: str) -> Subject:
    return Subject(cast("SurfaceComponent", cast("Any", Named(module))), 2)


def test_component_revision_environment_tenant_and_window_are_filled_in() -> None:
    text = (
        'increase(x{a="{{component}}",b=\'{{revision}}\',c=~"{{environment}}.*",d="{{tenant}}"}'
        "[{{window}}])"
    )

    assert filled(text, Dialect.PROMQL, SUBJECT, "60s") == (
        'increase(x{a="module-web",b=\'2\',c=~"env-aaaaaaaaaaaa.*",d="acme"}[60s])'
    )


REFUSED: Final = {
    "an-unknown-name": ("x{{{pod}}}", Dialect.PROMQL, "one of the placeholders"),
    "outside-of-a-string": ("{{component}}_total", Dialect.PROMQL, "inside a string"),
    "in-a-raw-string": ("x{a=`{{component}}`}", Dialect.PROMQL, "inside a string"),
    "in-a-comment": ('x # "{{component}}"', Dialect.PROMQL, "inside a string"),
    "after-a-comment-with-a-quote": ('x # it"s\n{{component}}"', Dialect.PROMQL, "inside a string"),
    "over-two-strings": ('x{a="b"{{component}}"c"}', Dialect.PROMQL, "inside a string"),
    "a-window-in-a-string": ('x{a="{{window}}"}', Dialect.PROMQL, "outside of strings"),
    "in-a-verbatim-string": ("T | where a == @'{{component}}'", Dialect.KUSTO, "inside a string"),
    "in-a-multi-line-string": ("print ```{{component}}```", Dialect.KUSTO, "inside a string"),
    "an-odata-name": ("{{component}} eq 'a'", Dialect.ODATA, "inside a string"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "dialect", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_placeholder_that_could_not_be_escaped_is_refused(
    text: str, dialect: Dialect, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        list(placeholders(text, dialect))


def test_a_placeholder_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="no revision"):
        filled('x{a="{{revision}}"}', Dialect.PROMQL, Subject(COMPONENT), "60s")


STRING: Final = {
    Dialect.PROMQL: re.compile(r'x\{a(?:=|=~)"((?:\\.|[^"\\\n])*)"\}'),
    Dialect.KUSTO: re.compile(r"T \| where a == '((?:\\.|[^'\\\n])*)'"),
    Dialect.ODATA: re.compile(r"a eq '((?:''|[^'])*)'"),
}
TEMPLATES: Final = {
    Dialect.PROMQL: 'x{a="{{component}}"}',
    Dialect.KUSTO: "T | where a == '{{component}}'",
    Dialect.ODATA: "a eq '{{component}}'",
}


@pytest.mark.parametrize("dialect", TEMPLATES)
@given(st.text())
def test_no_text_ends_the_string_that_it_stands_in(dialect: Dialect, text: str) -> None:
    query = filled(TEMPLATES[dialect], dialect, named(text), "60s")

    found = STRING[dialect].fullmatch(query)
    assert found is not None, query
    inside = found[1]
    if dialect is Dialect.ODATA:
        assert inside.replace("''", "'") == text
    else:
        plain = re.sub(r"\\(.)", lambda each: {"n": "\n", "r": "\r"}.get(each[1], each[1]), inside)
        assert plain == text


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_a_value_in_a_regular_expression_matches_itself_only(text: str) -> None:
    query = filled('x{a=~"{{component}}"}', Dialect.PROMQL, named(text), "60s")

    found = STRING[Dialect.PROMQL].fullmatch(query)
    assert found is not None, query
    expression = re.sub(r"\\(.)", r"\1", found[1])
    assert re.fullmatch(expression, text)
    assert not re.fullmatch(expression, f"{text}x")
