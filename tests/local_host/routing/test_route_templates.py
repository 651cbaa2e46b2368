"""ASP.NET Core templates as the Functions host matches them (protocol page, section 2, Routes)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_host.routing.route_templates import TemplateRefused, parse, split


def matched(template: str, path: str) -> dict[str, str] | None:
    return parse(template).match(split(path))


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        pytest.param("items", "/items", {}, id="literal"),
        pytest.param("items", "/ITEMS/", {}, id="case-and-trailing-slash-do-not-matter"),
        pytest.param("items", "/items/1", None, id="a-longer-path-is-another"),
        pytest.param("items/{id}", "/items/a%20b", {"id": "a b"}, id="values-are-decoded"),
        pytest.param("items/{id}", "/items/a%2Fb", {"id": "a%2Fb"}, id="an-encoded-slash-stays"),
        pytest.param("items/{id?}", "/items", {}, id="an-absent-optional-is-left-out"),
        pytest.param("items/{id?}", "/items/5", {"id": "5"}, id="a-present-optional"),
        pytest.param("items/{id=all}", "/items", {"id": "all"}, id="a-default-fills-in"),
        pytest.param("items/{*rest}", "/items", {}, id="a-catch-all-matches-nothing-too"),
        pytest.param(
            "items/{*rest}", "/items/a/b", {"rest": "a/b"}, id="a-catch-all-takes-slashes"
        ),
        pytest.param("/{*route}", "/", {}, id="a-leading-slash-does-not-count"),
        pytest.param("{a}.{b}", "/x.y.z", {"a": "x.y", "b": "z"}, id="two-in-one-segment"),
        pytest.param("f/{name}.{ext?}", "/f/read", {"name": "read"}, id="an-optional-extension"),
        pytest.param("v{n:int}-x", "/v12-X", {"n": "12"}, id="text-around-a-parameter"),
        pytest.param("{id:int}/{b?}", "/x/1", None, id="a-constraint-decides"),
    ],
)
def test_a_template_matches_as_in_azure(
    template: str, path: str, values: dict[str, str] | None
) -> None:
    assert matched(template, path) == values


@pytest.mark.parametrize(
    ("constraint", "taken", "refused"),
    [
        ("int", ["0", "-7", "2147483647"], ["2147483648", "1.0", "x"]),
        ("long", ["2147483648", "-9223372036854775808"], ["9223372036854775808"]),
        ("bool", ["true", "FALSE"], ["1", "yes"]),
        (
            "guid",
            ["0f8fad5b-d9cb-469f-a165-70867728950e", "{0F8FAD5B-D9CB-469F-A165-70867728950E}"],
            ["0f8fad5b", "{0f8fad5b-d9cb-469f-a165-70867728950e"],
        ),
        ("datetime", ["2026-01-31", "2026-01-31T10:00:00", "12/31/2026 7:32pm"], ["monday"]),
        ("decimal", ["1", "-1.50"], ["1e5", "x"]),
        ("double", ["1e5", ".5"], ["x"]),
        ("float", ["1.5"], ["x"]),
        ("alpha", ["abcXYZ"], ["a1"]),
        ("min(3)", ["3", "10"], ["2", "x"]),
        ("max(3)", ["3", "-1"], ["4"]),
        ("range(2,4)", ["2", "4"], ["1", "5"]),
        ("length(3)", ["abc"], ["ab", "abcd"]),
        ("length(2,3)", ["ab", "abc"], ["a", "abcd"]),
        ("minlength(2)", ["ab"], ["a"]),
        ("maxlength(2)", ["ab"], ["abc"]),
        ("regex(^\\d{{2}}$)", ["12"], ["123", "x"]),
        ("regex(^(a|b):c$)", ["a:c"], ["c"]),
        ("alpha:minlength(2)", ["ab"], ["a", "12"]),
        ("required", ["x"], []),
    ],
)
def test_a_constraint_checks_and_does_not_convert(
    constraint: str, taken: list[str], refused: list[str]
) -> None:
    template = parse(f"x/{{v:{constraint}}}")

    assert [template.match(["x", value]) for value in taken] == [{"v": v} for v in taken]
    assert [template.match(["x", value]) for value in refused] == [None] * len(refused)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("items/{id", "braces do not match"),
        ("items/id}", "braces do not match"),
        ("items/{}", "no parameter name"),
        ("items/{id:number}", "there is no constraint 'number'"),
        ("items/{id:length(a)}", "cannot read the constraint"),
        ("items/{id:range(1)}", "cannot read the constraint"),
        ("items/{id:regex([)}", "is no regex"),
        ("{*rest}/x", "must be the last segment"),
        ("a{*rest}", "a segment of its own"),
        ("{id?}/x", "must be at the end"),
        ("{id}/{ID}", "is there twice"),
        ("a//b", "empty segment"),
        ("{id:int extra}", "there is no constraint"),
    ],
)
def test_a_template_that_cannot_be_read_says_why(template: str, said: str) -> None:
    with pytest.raises(TemplateRefused, match=said.replace("(", r"\(")):
        parse(template)


NAME = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
VALUE = st.text(st.characters(codec="utf-8", exclude_characters="/%\x00"), min_size=1)


@given(literals=st.lists(NAME, min_size=1, max_size=4), values=st.lists(VALUE, max_size=3))
def test_what_is_put_into_a_template_comes_out_again(
    literals: list[str], values: list[str]
) -> None:
    names = [f"p{place}" for place in range(len(values))]
    template = parse("/".join([*literals, *(f"{{{name}}}" for name in names)]))

    found = template.match([*(text.upper() for text in literals), *values])

    assert found == dict(zip(names, values, strict=True))
