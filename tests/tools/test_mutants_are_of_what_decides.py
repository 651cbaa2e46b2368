"""`make mutate` changes the models of all services, and says which change no test noticed."""

import json
from collections import Counter
from pathlib import Path

import pytest

from shared.kernel.ids import APPS
from tools.mutation import REPOSITORY, Result, chosen, parts, run_tests, sample
from tools.mutation_runner import Clean, executing, ordered, statement_around

MODULE = """\
def fare(zones: int, child: bool) -> int:
    price = 2 * zones
    if child:
        return price // 2
    return price


class Ticket:
    def __init__(self, zones: int) -> None:
        self.zones = zones

    @property
    def price(self) -> int:
        return fare(self.zones, False)


def never_called() -> int:
    return 1
"""
TESTS = """\
from model import Ticket, fare


def test_two_each_zone():
    assert fare(3, False) == 6


def test_a_child_pays():
    assert fare(3, True)


def test_a_ticket_has_its_price():
    assert Ticket(1).price == 2
"""


@pytest.mark.parametrize("name", parts())
def test_a_part_names_files_and_tests_that_exist(name: str) -> None:
    part = parts()[name]

    assert all((REPOSITORY / each).is_file() for each in part.files)
    assert all((REPOSITORY / each).exists() for each in part.tests)


def test_each_service_has_parts() -> None:
    services = {name.partition("/")[0] for name in parts()}

    assert {app.replace("-", "_") for app in APPS} <= services


def test_a_service_is_named_or_one_of_its_modules() -> None:
    known = parts()

    assert list(chosen(["scaling/limits", "relay"], known).values()) == [
        ["scaling/limits"],
        ["relay"],
    ]
    [names] = chosen(["scaling"], known).values()
    assert names == [each for each in known if each.startswith("scaling/")]
    assert not chosen(["scalin"], known)


def test_a_sample_is_the_same_each_time_and_in_order() -> None:
    drawn = sample(range(100), 10, seed=1)

    assert len(drawn) == 10
    assert drawn == sorted(drawn) == sample(range(100), 10, seed=1)
    assert drawn != sample(range(100), 10, seed=2)


def test_a_sample_has_all_where_there_are_no_more() -> None:
    assert sample([1, 2], 10, seed=1) == [1, 2]


def test_a_mutant_without_a_test_counts_as_not_noticed() -> None:
    assert Result("relay", noticed=80, survived=10, untested=10).part_noticed == 0.8


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(Result("relay", 17, 2, 1, not_run=9), id="enough-of-a-sample"),
        pytest.param(Result("errors", 0, 0, 0), id="nothing-decides-there"),
    ],
)
def test_a_part_passes_where_enough_is_noticed(result: Result) -> None:
    assert result.is_enough


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(Result("relay", 16, 2, 2), id="too-few"),
        pytest.param(Result("relay", 0, 0, 0, broken=30), id="none-could-run"),
        pytest.param(Result("relay", 20, 0, 0, broken=1), id="one-could-not-run"),
        pytest.param(Result("relay", 0, 0, 0, not_run=30), id="none-was-drawn"),
    ],
)
def test_a_part_fails_where_too_few_are_noticed_or_one_cannot_run(result: Result) -> None:
    assert not result.is_enough


@pytest.mark.parametrize(
    ("line", "around"),
    [
        pytest.param(2, (2, 3), id="a-statement-of-one-line"),
        pytest.param(3, (3, 4), id="the-head-of-a-branch-without-what-is-inside"),
        pytest.param(4, (4, 5), id="what-is-inside"),
    ],
)
def test_a_line_belongs_to_the_innermost_statement(line: int, around: tuple[int, int]) -> None:
    assert statement_around(MODULE, line) == around


def test_a_line_of_a_long_statement_belongs_to_all_its_lines() -> None:
    assert statement_around("a = [\n    1,\n    2,\n]\nb = 1\n", 2) == (1, 5)


def test_tests_that_noticed_the_function_run_first_and_then_the_short_ones(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(MODULE, encoding="utf-8")
    seconds = {"long": 2.0, "short": 0.1, "knows": 1.0, "elsewhere": 0.0}
    lines = {2: frozenset({"long", "short", "knows"}), 4: frozenset({"elsewhere"})}
    mutant = {"file": str(file), "function": "fare", "first": 2}
    clean = Clean(seconds, [], {str(file): lines})

    tests = executing(mutant, clean)

    assert tests == {"long", "short", "knows"}
    killers = {f"{file}fare": Counter({"knows": 1})}
    assert ordered(tests, killers, mutant, clean) == ["knows", "short", "long"]


@pytest.mark.real
@pytest.mark.long
def test_each_mutant_is_judged_by_the_tests_that_execute_its_line(tmp_path: Path) -> None:
    model, tests = tmp_path / "model.py", tmp_path / "test_model.py"
    model.write_text(MODULE, encoding="utf-8")
    tests.write_text(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{TESTS}", "utf-8")
    changes = [
        ("fare", 2, "    price = 3 * zones"),
        ("fare", 4, "        return price * 2"),
        ("fare", 4, "        while True: pass"),
        ("Ticket.price", 14, "        return fare(self.zones, True)"),
        ("never_called", 18, "    return 2"),
    ]
    given, results = tmp_path / "mutants.json", tmp_path / "results.json"
    mutants = [
        {"file": str(model), "function": function, "first": line, "end": line + 1, "lines": [text]}
        for function, line, text in changes
    ]
    given.write_text(json.dumps(mutants), encoding="utf-8")

    run_tests([str(tests)], given, results, tmp_path / "log", seconds=0.2)

    verdicts = [each["verdict"] for each in json.loads(results.read_text("utf-8"))]
    assert verdicts == ["killed", "survived", "timeout", "killed", "untested"]
