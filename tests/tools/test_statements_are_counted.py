"""What counts as a statement, and what of it as plumbing."""

import ast

import pytest

from tools.count_statements import Tree, plumbers, statements


def test_a_docstring_is_no_statement() -> None:
    tree = ast.parse('"""A module."""\n\ndef f() -> int:\n    """A function."""\n    return 1\n')

    assert [type(node).__name__ for node in statements(tree)] == ["FunctionDef", "Return"]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("from a import b", id="an-import"),
        pytest.param("def to_body(x): return {'a': x.a, 'b': len(x.b)}", id="a-codec"),
        pytest.param(
            "async def f(x, ctx): return await g(x, ctx.scope, app=ctx.app)", id="a-wrapper"
        ),
        pytest.param(
            "def place(key) -> Partition: return Partition(*split(key))", id="a-partition"
        ),
    ],
)
def test_it_is_plumbing(source: str) -> None:
    assert len(list(plumbers(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("def f(x): return g(x + 1)", id="a-computed-argument"),
        pytest.param("def f(x): return g(1)", id="nothing-handed-on"),
        pytest.param("def f(x):\n    y = g(x)\n    return h(y)", id="two-steps"),
    ],
)
def test_it_is_no_plumbing(source: str) -> None:
    assert list(plumbers(ast.parse(source))) == []


def test_a_statement_counts_once_as_plumbing() -> None:
    tree = Tree()
    tree.add("shared/web/a.py", "def to_body(x):\n    from a import b\n    return b(x)\n")

    assert tree.packages["shared/web"].plumbing == tree.packages["shared/web"].statements == 3
