"""Single changes of the functions of a module, as mutmut makes them, for `make mutate`.

What a decorator says is not changed, and no sentence is: nothing but a reader depends on its words.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace

_INDENT = "    "


@dataclass(frozen=True)
class Mutant:
    """One change: the lines from *first* to before *end* are *lines* instead."""

    file: str
    function: str
    first: int
    end: int
    lines: Sequence[str]


def mutants_of(root: Path, file: str) -> list[Mutant]:
    """Return each change of the functions and methods in *file*, below *root*."""
    source = without_decorators((root / file).read_text("utf-8"))
    module, mutations, _, _ = create_mutations(file, source)
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    methods = {
        method: f"{each.name.value}."
        for each in module.body
        if isinstance(each, libcst.ClassDef)
        for method in each.body.body
    }
    found = dict[Mutant, None]()
    for each in mutations:
        function = each.contained_by_top_level_function
        if not isinstance(function, libcst.FunctionDef) or _is_of_a_sentence(each):
            continue
        bare = function.with_changes(leading_lines=[])
        before = module.code_for_node(bare).splitlines()
        changed = deep_replace(bare, each.original_node, each.mutated_node)
        after = module.code_for_node(changed).splitlines()
        first, end, lines = changed_lines(before, after)
        start = positions[function].start.line
        indent = _INDENT if function in methods else ""
        name = methods.get(function, "") + function.name.value
        changed_to = tuple(indent + line for line in lines)
        if before != after:
            found[Mutant(file, name, start + first, start + end, changed_to)] = None
    return list(found)


def without_decorators(source: str) -> str:
    """Return *source* with empty lines for the decorators of functions.

    mutmut leaves decorated functions alone, as it copies them; here their code is replaced.
    """
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for each in node.decorator_list:
                for number in range(each.lineno, (each.end_lineno or each.lineno) + 1):
                    lines[number - 1] = ""
    return "\n".join(lines) + "\n"


def changed_lines(before: Sequence[str], after: Sequence[str]) -> tuple[int, int, Sequence[str]]:
    """Return from where to before where *before* has other lines than *after*, and those."""
    shorter = min(len(before), len(after))
    first = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    same = next(
        (i for i in range(shorter - first) if before[-1 - i] != after[-1 - i]), shorter - first
    )
    return first, len(before) - same, after[first : len(after) - same]


def _is_of_a_sentence(mutation: Mutation) -> bool:
    return _is_sentence(mutation.original_node) or all(
        map(_is_sentence, _arguments_changed(mutation))
    )


def _arguments_changed(mutation: Mutation) -> Iterator[libcst.CSTNode]:
    """Yield the arguments that a changed call no longer has; the call itself of any other."""
    before, after = mutation.original_node, mutation.mutated_node
    if not isinstance(before, libcst.Call) or not isinstance(after, libcst.Call):
        yield before
        return
    kept = {id(each.value) for each in after.args}
    yield from (each.value for each in before.args if id(each.value) not in kept)
    if before.func is not after.func:
        yield before


def _is_sentence(node: libcst.CSTNode) -> bool:
    """Return whether *node* is a text of several words, or what stands between words."""
    match node:
        case libcst.SimpleString():
            return re.search(r"\w,? \w|^\W+$", str(node.evaluated_value)) is not None
        case libcst.FormattedString():
            return any(
                isinstance(part, libcst.FormattedStringText) and " " in part.value.strip()
                for part in node.parts
            )
        case libcst.ConcatenatedString():
            return _is_sentence(node.left) or _is_sentence(node.right)
        case _:
            return False
