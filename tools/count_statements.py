"""Counts statements, plumbing and sizes of the tree at one revision or more.

    python -m tools.count_statements 4938637 HEAD

A statement is a node of the syntax tree that is one; docstrings are not counted. Plumbing is what
says nothing about the domain; a statement counts once:

- imports;
- codecs: functions named `to_body`, `from_body`, `encode`, `decode`, or with that behind or before
  an underscore;
- wrappers: functions that do nothing but call another one with parameters of theirs, attributes of
  these, or constants: what only hands `scope`, `cause` and `app` on;
- rows: functions that return a partition, an envelope, or a row of the outbox.

A function's statements are its own `def` and all below it; its lines are from `def` to its end.
"""

import ast
import io
import re
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

COUNTED: Final = ("function_apps", "shared")
SIZED: Final = ("cli", "function_apps", "local_agent", "local_cloud", "local_host", "shared")
MODULE_LINES: Final = 250
FUNCTION_LINES: Final = 60
CODEC: Final = re.compile(r"_*(.+_)?(to_body|from_body|encode|decode)(_.+)?")
ROWS: Final = frozenset({"Partition", "Envelope", "Publish", "Send", "Start", "Raise", "Record"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Count:
    """Of one package."""

    statements: int = 0
    plumbing: int = 0


@dataclass
class Tree:
    """What was counted at one revision."""

    packages: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    modules: list[int] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)

    def add(self, path: str, source: str) -> None:
        """Count the module at *path*."""
        tree = ast.parse(source)
        self.modules.append(source.count("\n"))
        functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
        self.functions += [(node.end_lineno or 0) - node.lineno + 1 for node in functions]
        parts = path.split("/")
        plumbing = {id(each) for node in plumbers(tree) for each in statements(node)}
        is_module = parts[1].endswith(".py")
        count = self.packages[f"{parts[0]}/{'*.py' if is_module else parts[1]}"]
        count.statements += sum(1 for _ in statements(tree))
        count.plumbing += len(plumbing)


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of *tree*, itself if it is one, without docstrings."""
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not is_text:
            yield node


def plumbers(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield the imports and the functions of *tree* that are plumbing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        if isinstance(node, Function) and _is_plumbing(node):
            yield node


def _is_plumbing(function: Function) -> bool:
    is_codec = CODEC.fullmatch(function.name) is not None
    return is_codec or _returns_rows(function) or _is_wrapper(function)


def _returns_rows(function: Function) -> bool:
    returns = function.returns
    return isinstance(returns, ast.Name) and returns.id in ROWS


def _is_wrapper(function: Function) -> bool:
    _, *body = statements(function)
    if len(body) != 1 or not isinstance(body[0], ast.Return | ast.Expr):
        return False
    call = body[0].value
    if isinstance(call, ast.Await):
        call = call.value
    if not isinstance(call, ast.Call):
        return False
    arguments = [_root(value) for value in (*call.args, *(word.value for word in call.keywords))]
    own = {parameter.arg for parameter in ast.walk(function.args) if isinstance(parameter, ast.arg)}
    handed_on = [each for each in arguments if isinstance(each, ast.Name) and each.id in own]
    return bool(handed_on) and all(isinstance(each, ast.Name | ast.Constant) for each in arguments)


def _root(argument: ast.expr) -> ast.expr:
    while isinstance(argument, ast.Attribute | ast.Starred):
        argument = argument.value
    return argument


def count(revision: str) -> Tree:
    """Count the tree at *revision*, as git has it."""
    listing = subprocess.run(
        ["git", "ls-tree", "--name-only", revision], check=True, capture_output=True, text=True
    ).stdout
    folders = [name for name in listing.split() if name in SIZED]
    archive = subprocess.run(
        ["git", "archive", revision, *folders], check=True, capture_output=True
    ).stdout
    tree = Tree()
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened:
            file = opened.extractfile(member) if member.name.endswith(".py") else None
            if file is not None:
                tree.add(member.name, file.read().decode())
    return tree


def main() -> int:
    revisions = sys.argv[1:] or ["HEAD"]
    trees = [count(revision) for revision in revisions]
    print(f"{'statements (of these plumbing)':<32}" + "".join(f"{name:>18}" for name in revisions))
    names = sorted({name for tree in trees for name in tree.packages})
    counted = [name for name in names if name.startswith(COUNTED)]
    rows = {name: [name] for name in counted}
    rows |= {f"all of {root}": [name for name in names if name.startswith(root)] for root in SIZED}
    rows |= {"function_apps and shared": counted, "all": names}
    for title, belonging in rows.items():
        cells = [_cell([tree.packages[name] for name in belonging]) for tree in trees]
        print(f"{title:<32}" + "".join(f"{cell:>18}" for cell in cells))
    print(f"sizes of {', '.join(SIZED)}:")
    for name, tree in zip(revisions, trees, strict=True):
        small = sum(lines <= MODULE_LINES for lines in tree.modules) / len(tree.modules)
        long = sum(lines > FUNCTION_LINES for lines in tree.functions)
        print(
            f"  {name}: {len(tree.modules)} modules, {small:.1%} of at most {MODULE_LINES} lines,"
            f" longest {max(tree.modules)}; {len(tree.functions)} functions,"
            f" {long} of more than {FUNCTION_LINES} lines, longest {max(tree.functions)}"
        )
    return 0


def _cell(counts: list[Count]) -> str:
    total = sum(each.statements for each in counts)
    share = sum(each.plumbing for each in counts) / total if total else 0.0
    return f"{total} ({share:.0%})"


if __name__ == "__main__":
    sys.exit(main())
