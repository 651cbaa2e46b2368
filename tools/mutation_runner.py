"""A plugin of pytest that runs the collected tests once for each mutant that it is given.

All is imported and collected once. A process is forked for a run without a mutant, which says which
test executes which line, and one for each mutant: there the code of the function is replaced, and
the tests that execute the changed line run until one fails.
"""

import ast
import gc
import json
import os
import pickle
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import coverage
import pytest
from hypothesis import Phase, settings

_KILLED: Final = 1
_BROKEN: Final = 3
_WAITS: Final = 120
"""Seconds until a mutant counts as noticed by a test that never ends."""
_MEMORY: Final = 4 << 30


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the mutants of a file, and say in another what became of them."""
    parser.addoption("--mutants", type=Path, help="JSON: a list of mutants")
    parser.addoption("--mutation-results", type=Path, help="JSON: one result for each mutant")
    parser.addoption("--mutant-seconds", type=float, help="of a processor, for the tests of one")


def pytest_configure(config: pytest.Config) -> None:
    """Let a test that fails say so at once: nobody reads what it found."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    settings.register_profile("mutants", settings(), phases=phases, derandomize=True, database=None)
    settings.load_profile("mutants")
    config.pluginmanager.register(_Runner(config), "mutants")


@dataclass
class Clean:
    """What the tests do without a mutant."""

    seconds: Mapping[str, float]
    failed: Sequence[str]
    tests_of_line: Mapping[str, Mapping[int, frozenset[str]]]


@dataclass
class _Runner:
    config: pytest.Config
    failed: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or (hasattr(report, "wasxfail") and report.passed):
            self.failed.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests without a mutant, then with each."""
        mutants = json.loads(self.config.getoption("mutants").read_text("utf-8"))
        results: Path = self.config.getoption("mutation_results")
        functions = functions_of({str(Path(each["file"]).resolve()) for each in mutants})
        clean = self._clean(session.items, {each["file"] for each in mutants})
        if clean.failed:
            raise pytest.UsageError(f"these tests fail without a mutant: {clean.failed[:5]}")
        items = {each.nodeid: each for each in session.items}
        killers: dict[str, Counter[str]] = defaultdict(Counter)
        done = []
        for each in mutants:
            tests = executing(each, clean)
            began = _seconds_of_children()
            order = ordered(tests, killers, each, clean)
            verdict, killer = self._run(each, functions, items, order, clean)
            done.append(
                {**each, "verdict": verdict, "killer": killer, "tests": len(tests),
                 "seconds": round(_seconds_of_children() - began, 3)}
            )  # fmt: skip
            if killer:
                killers[each["file"] + each["function"]][killer] += 1
            if len(done) % 20 == 0 or len(done) == len(mutants):
                results.write_text(json.dumps(done, indent=1), encoding="utf-8")
        results.write_text(json.dumps(done, indent=1), encoding="utf-8")
        return True

    def _clean(self, items: Sequence[pytest.Item], files: set[str]) -> Clean:
        told = self._told()

        def work() -> int:
            measured = coverage.Coverage(data_file=None, include=sorted(files), config_file=False)
            measured.start()
            seconds = {}
            for item, following in _with_next(items):
                measured.switch_context(item.nodeid)
                began = time.process_time()
                _run_one(item, following)
                seconds[item.nodeid] = time.process_time() - began
            measured.stop()
            data = measured.get_data()
            lines = {
                name: {
                    line: frozenset(filter(None, contexts))
                    for line, contexts in data.contexts_by_lineno(str(Path(name).resolve())).items()
                }
                for name in files
            }
            told.write_bytes(pickle.dumps(Clean(seconds, self.failed, lines)))
            return 0

        if _forked(work) != 0:
            raise pytest.UsageError("the tests did not end without a mutant")
        result: Clean = pickle.loads(told.read_bytes())  # noqa: S301 - a child of this process wrote it
        return result

    def _run(
        self,
        mutant: Mapping[str, Any],
        functions: Mapping[tuple[str, str], Sequence[FunctionType]],
        items: Mapping[str, pytest.Item],
        tests: Sequence[str],
        clean: Clean,
    ) -> tuple[str, str]:
        if not tests:
            return "untested", ""
        path = str(Path(mutant["file"]).resolve())
        told = self._told()
        budget: float = self.config.getoption("mutant_seconds")

        def work() -> int:
            most = int(budget + 2 * max(clean.seconds[each] for each in tests)) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (most, most))
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_WAITS)
            replace(functions[path, mutant["function"]], path, mutant)
            began = time.process_time()
            for item, following in _with_next([items[each] for each in tests]):
                _run_one(item, following)
                if self.failed:
                    told.write_text(item.nodeid, encoding="utf-8")
                    return _KILLED
                if time.process_time() - began > budget:
                    break
            return 0

        if (path, mutant["function"]) not in functions:
            return "not run", ""
        match _forked(work):
            case 0:
                return "survived", ""
            case code if code == _KILLED:
                return "killed", told.read_text("utf-8")
            case code if code < 0:
                return "timeout", ""
            case _:
                return "not run", ""

    def _told(self) -> Path:
        results: Path = self.config.getoption("mutation_results")
        return results.with_suffix(".child")


def _forked(work: Callable[[], int]) -> int:
    """Do *work* in a forked process, and return its code, or the signal that ended it below 0."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code = _BROKEN
        try:
            code = work()
        finally:
            if error := sys.exception():
                os.write(2, f"{error!r}\n".encode())
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run_one(item: pytest.Item, following: pytest.Item | None) -> None:
    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


def _with_next(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items[1:], None], strict=True)


def functions_of(files: set[str]) -> Mapping[tuple[str, str], Sequence[FunctionType]]:
    """Return all functions that exist of *files*, by file and qualified name."""
    found: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
    gc.unfreeze()
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename in files:
            found[each.__code__.co_filename, each.__code__.co_qualname].append(each)
    gc.freeze()
    return found


def replace(functions: Sequence[FunctionType], path: str, mutant: Mapping[str, Any]) -> None:
    """Give *functions* the code that they have with *mutant*."""
    lines = Path(path).read_text("utf-8").splitlines()
    lines[mutant["first"] - 1 : mutant["end"] - 1] = mutant["lines"]
    changed = compile("\n".join(lines) + "\n", path, "exec")
    [code] = [each for each in _codes(changed) if each.co_qualname == mutant["function"]]
    for each in functions:
        each.__code__ = code


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def executing(mutant: Mapping[str, Any], clean: Clean) -> set[str]:
    """Return the tests that execute a line of the statement which *mutant* changes."""
    tests_of_line = clean.tests_of_line[mutant["file"]]
    first, end = statement_around(Path(mutant["file"]).read_text("utf-8"), mutant["first"])
    return set().union(*(tests_of_line.get(line, ()) for line in range(first, end)))


def statement_around(source: str, line: int) -> tuple[int, int]:
    """Return from where to before where the statement of *line* goes, without those inside it."""
    found = (line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            inside = [each.lineno for each in ast.walk(node) if isinstance(each, ast.stmt)]
            later = [each for each in inside if each > node.lineno]
            end = min(later, default=(node.end_lineno or node.lineno) + 1)
            found = (node.lineno, max(end, line + 1))
    return found


def ordered(
    tests: set[str], killers: Mapping[str, Counter[str]], mutant: Mapping[str, Any], clean: Clean
) -> Sequence[str]:
    """Return *tests* by what they noticed of its function, then the short ones first."""
    known = killers.get(mutant["file"] + mutant["function"], Counter())
    return sorted(tests, key=lambda each: (-known[each], clean.seconds[each], each))
