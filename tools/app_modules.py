"""What an app imports, read from its source: modules of ours, and distributions of others.

An import in a function counts too: that is how adapters import the SDK that they are for. One for
types only does not, nor does the adapter of a part that the app never asks for.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from sys import stdlib_module_names
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
OURS: Final = frozenset({"function_apps", "shared"})
_PARTS: Final = "AzureParts"
"""The class whose methods each open one part; `build` in `function_app.py` asks for some."""
_FOR_ONE_PART: Final = {"_blob_service": "blobs"}
"""Methods of adapters that several parts share, and the one part that they are for."""
_ASK_FOR_PARTS: Final = ("function_apps/{app}/function_app.py", "shared/composition/service.py")


class NotPackaged(Exception):
    """An app imports what no package of it can have; the message says which module does."""


@dataclass
class AppModules:
    """The files of an app's modules below the root, and the foreign modules that they import."""

    files: set[Path] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)


def modules_of(app: str) -> AppModules:
    """Return what `function_apps.<app>.function_app` imports, and what that imports, and so on.

    Raises:
        NotPackaged: one of them imports a package of the host, the agent or the command line.
    """
    found, parts = AppModules(), _parts_of(app)
    waiting = [_file(f"function_apps.{app}.function_app")]
    while waiting:
        path = waiting.pop()
        if path is None or path in found.files:
            continue
        found.files.add(path)
        imported = _imported(path)
        for name in (name for part in parts for name in imported.get(part, ())):
            house = name.partition(".")[0]
            if house in OURS:
                waiting += _files(name)
            elif (ROOT / house / "__init__.py").exists():
                raise NotPackaged(f"{path.relative_to(ROOT)} imports {name}")
            elif house not in stdlib_module_names:
                found.foreign.add(name)
    return found


def _parts_of(app: str) -> set[str]:
    """Return the methods of `Parts` that the composition of *app* calls, and "" for all else."""
    trees = [ast.parse((ROOT / place.format(app=app)).read_text()) for place in _ASK_FOR_PARTS]
    return {
        "",
        *(
            node.attr
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "parts"
        ),
    }


def _files(name: str) -> Iterator[Path | None]:
    """Yield the files that importing *name* runs: its own, and those of the packages above."""
    words = name.split(".")
    for count in range(1, len(words) + 1):
        yield _file(".".join(words[:count]))


def _file(name: str) -> Path | None:
    """Return the file of the module *name*; None where it is a name inside a module."""
    place = ROOT.joinpath(*name.split("."))
    return next(
        (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None
    )


@cache
def _imported(path: Path) -> Mapping[str, set[str]]:
    """Return what *path* imports by the part that it is for; "" is for every app."""
    reader = _Imports()
    reader.visit(ast.parse(path.read_text()))
    return reader.names


class _Imports(ast.NodeVisitor):
    """Collects `a.b` for `import a.b`, and `a.b` and `a.b.c` for `from a.b import c`."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}
        self._part = ""

    def visit_Import(self, node: ast.Import) -> None:
        self._add(each.name for each in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.module, "imports are absolute here"
        self._add((node.module, *(f"{node.module}.{each.name}" for each in node.names)))

    def _add(self, names: Iterable[str]) -> None:
        self.names.setdefault(self._part, set()).update(names)

    def visit_If(self, node: ast.If) -> None:
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for each in node.orelse if is_for_types else (node.test, *node.body, *node.orelse):
            self.visit(each)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for each in node.body:
            name = getattr(each, "name", "_")
            is_part = node.name == _PARTS and not name.startswith("_")
            around = self._part
            self._part = name if is_part else _FOR_ONE_PART.get(name, around)
            self.visit(each)
            self._part = around
