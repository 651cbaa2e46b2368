"""What a linter cannot say: tables are total, packages have one job each, modules stay small."""

import ast
import importlib
import os
import re
import subprocess
import tokenize
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
HOUSES: Final = (
    "shared", "function_apps", "local_agent", "local_cloud", "local_cluster", "local_host", "cli",
)  # fmt: skip
MODULES: Final = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
PACKAGES: Final = [path for path in MODULES if path.name == "__init__.py"]
TABLES: Final = [path for path in MODULES if "\nTRANSITIONS: " in path.read_text()]
LINES_MAX: Final = 450
"""Past it there is a second concept inside."""
NOBODYS: Final = frozenset({"utils", "helpers", "common", "base", "manager", "misc", "core"})
UNDONE: Final = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b")


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _table(path: Path) -> tuple[Any, type[Enum]]:
    table = importlib.import_module(_name(path)).TRANSITIONS.rows
    return table, type(next(iter(table)))


@pytest.mark.parametrize("path", TABLES, ids=[_name(path) for path in TABLES])
def test_a_state_machine_has_a_row_for_each_of_its_states(path: Path) -> None:
    table, states = _table(path)

    assert set(table) == set(states)


@pytest.mark.parametrize("path", TABLES, ids=[_name(path) for path in TABLES])
def test_a_state_machine_leads_to_states_of_its_own(path: Path) -> None:
    table, states = _table(path)
    targets = {target for row in table.values() for target in row.values()}
    flat = {
        each
        for target in targets
        for each in (target if isinstance(target, frozenset) else {target})
    }

    assert flat <= set(states)


OBSERVED_RECORDS: Final = {
    "catalog": ROOT / "function_apps/catalog/model/status.py",
    "health": ROOT / "function_apps/health/model/status_hysteresis.py",
}
"""Of these services the state is what was last observed, so no transition can be refused."""


def test_each_service_has_a_table_or_keeps_an_observed_record() -> None:
    services = {path.parent.name for path in (ROOT / "function_apps").glob("*/model")}
    tables = {path.relative_to(ROOT).parts[1] for path in TABLES}

    assert services - tables == set(OBSERVED_RECORDS)


@pytest.mark.parametrize("path", OBSERVED_RECORDS.values(), ids=list(OBSERVED_RECORDS))
def test_an_observed_record_says_that_it_needs_no_table(path: Path) -> None:
    sentence = "an observed record, so any status may follow any other and no transition table"

    assert sentence in " ".join(_docstring(path).split())


def test_no_two_packages_share_a_job() -> None:
    jobs = Counter(_docstring(path) for path in PACKAGES)

    assert "" not in jobs
    assert [job for job, count in jobs.items() if count > 1] == []


@pytest.mark.parametrize("path", PACKAGES, ids=[_name(path) for path in PACKAGES])
def test_a_package_says_its_job_in_a_sentence_and_only_gathers(path: Path) -> None:
    tree = ast.parse(path.read_text())
    gathers = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)

    assert _docstring(path).endswith(".")
    assert [ast.unparse(node)[:60] for node in tree.body[1:] if not isinstance(node, gathers)] == []


def test_every_module_says_what_it_owns() -> None:
    silent = [_name(path) for path in MODULES if not _docstring(path)]

    assert silent == []


def test_nothing_is_named_for_nobody() -> None:
    named = {part for path in MODULES for part in path.relative_to(ROOT).with_suffix("").parts}

    assert named & NOBODYS == set()


def test_no_module_is_longer_than_one_concept_needs() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: lines for name, lines in lengths.items() if lines > LINES_MAX} == {}


def _comments(path: Path) -> list[tokenize.TokenInfo]:
    with path.open("rb") as source:
        tokens = list(tokenize.tokenize(source.readline))
    return [token for token in tokens if token.type == tokenize.COMMENT]


def test_nothing_is_left_to_do_in_a_comment() -> None:
    found = [
        f"{_name(path)}:{token.start[0]}"
        for path in MODULES
        for token in _comments(path)
        if UNDONE.search(token.string)
    ]

    assert found == []


COMMAND: Final = re.compile(r"^\s*\$?\s*(make|runtimectl)\s+([a-z][a-z-]*)(.*)$", re.MULTILINE)
FENCED: Final = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES: Final = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "function_apps/*/README.md")
    for path in ROOT.glob(pattern)
)


def _commands(tool: str) -> set[str]:
    return {
        command
        for page in PAGES
        for block in FENCED.findall(page.read_text())
        for found, command, _ in COMMAND.findall(block)
        if found == tool
    }


def test_every_make_target_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert _commands("make") <= targets


@pytest.mark.parametrize("target", ["up", "demo"])
def test_a_port_that_make_is_given_reaches_the_command(target: str) -> None:
    line = ["make", "--dry-run", "--always-make", target, "PORT=7490"]
    # A make that runs the tests tells its own flags to those that they start.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    printed = subprocess.run(
        line, cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    ).stdout

    assert printed.splitlines()[-1].endswith(" --port 7490")


def test_every_runtimectl_command_in_the_docs_exists() -> None:
    from cli.main import app

    names = {each.name or each.callback.__name__ for each in app.registered_commands}  # type: ignore[union-attr]
    names |= {each.name for each in app.registered_groups}  # type: ignore[misc]

    assert _commands("runtimectl") <= {name.replace("_", "-") for name in names}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]

    assert [link for link in inside if not (page.parent / link).exists()] == []
