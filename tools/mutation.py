"""`make mutate`: change one thing at a time in the code that decides, and run the tests of it.

A mutant that no test notices has survived: the rule it changes is in no test. The survivors stand
in `build/mutation`, those that may live in docs/mutation.md.
"""

import argparse
import dataclasses
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = REPOSITORY / "build" / "mutation"
NOTICED_LEAST: Final = 0.85
"""The part of the mutants that tests have to notice."""
_NOTICED: Final = ("killed", "timeout")
_SECONDS: Final = 2.0
"""Of a processor, for the tests of one mutant: what they have not noticed then has survived."""

_OF_MESSAGES: Final = (
    "tests/messaging",
    "tests/durable",
    "tests/catalog/test_one_bad_document_stops_nobody.py",
)
_OF_TOKENS: Final = (
    "tests/web/test_bad_tokens_are_refused.py",
    "tests/web/test_keys_come_from_the_issuer.py",
    "tests/web/test_tokens_are_mapped_to_tenants.py",
)


@dataclass(frozen=True)
class Part:
    """Code that is changed together, and the tests that have to notice."""

    files: Sequence[str]
    tests: Sequence[str]


@dataclass(frozen=True)
class Result:
    """What became of the mutants of one part."""

    part: str
    noticed: int
    survived: int
    untested: int
    broken: int = 0
    """Those with which no test could be run."""
    not_run: int = 0
    """Those that were not drawn."""

    @property
    def total(self) -> int:
        return self.noticed + self.survived + self.untested

    @property
    def part_noticed(self) -> float:
        return self.noticed / self.total if self.total else 0.0

    @property
    def is_enough(self) -> bool:
        """Return whether tests notice as many as they have to; also where there is none."""
        found_any = self.total or self.not_run
        return not self.broken and (self.part_noticed >= NOTICED_LEAST or not found_any)

    def row(self) -> str:
        """Return it as a row of the printed table."""
        return (
            f"| {self.part} | {self.total} | {self.noticed} | {self.survived} | {self.untested} "
            f"| {self.part_noticed:.0%} | {self.broken} | {self.not_run} |"
        )


def parts() -> Mapping[str, Part]:
    """Return each module of the models of all services, and what every service stands on."""
    models = sorted((REPOSITORY / "function_apps").glob("*/model/*.py"))
    return {
        **{
            f"{path.parts[-3]}/{path.stem}": Part(
                (str(path.relative_to(REPOSITORY)),), (f"tests/{path.parts[-3]}",)
            )
            for path in models
            if path.stem != "__init__"
        },
        **{
            name: Part((f"shared/messaging/{name}.py",), _OF_MESSAGES)
            for name in ("unit_of_work", "relay", "dispatcher", "sweep")
        },
        "alerts": Part(
            ("shared/contracts/alerts.py",),
            ("tests/contracts/test_an_alert_is_raised_and_cleared_once.py",),
        ),
        "authentication": Part(("shared/web/authentication.py",), _OF_TOKENS),
    }


def chosen(words: Sequence[str], known: Mapping[str, Part]) -> Mapping[tuple[str, ...], list[str]]:
    """Return the parts that *words* name, a service or one of its modules, by their tests."""
    by_tests: dict[tuple[str, ...], list[str]] = {}
    for name, part in known.items():
        if not words or name in words or name.partition("/")[0] in words:
            by_tests.setdefault(tuple(part.tests), []).append(name)
    return by_tests


def main() -> int:
    """Run the parts that are named, or all; 1 where too few were noticed or one could not run."""
    known = parts()
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}")
    parser.add_argument("--sample", type=int, help="mutants of each part at most; all by default")
    parser.add_argument("--seed", type=int, default=0, help="which ones are drawn")
    asked = parser.parse_args()
    for each in asked.parts:
        if not chosen([each], known):
            parser.error(f"there is no part {each!r}; expected {', '.join(known)}")
    print(
        "| part | mutants | noticed | survived | in no test | noticed of all | broken | not run |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    results = []
    for tests, names in chosen(asked.parts, known).items():
        for result in _run(tests, {each: known[each] for each in names}, asked.sample, asked.seed):
            print(result.row(), flush=True)
            results.append(result)
    return int(not all(each.is_enough for each in results))


def _run(
    tests: Sequence[str], group: Mapping[str, Part], most: int | None, seed: int
) -> Iterable[Result]:
    # Of the group mutation, which the tests of this module do without.
    from tools.mutants import mutants_of

    FOLDER.mkdir(parents=True, exist_ok=True)
    name = tests[0].replace("/", "-")
    mutants, left_out = [], Counter[str]()
    for part, files in group.items():
        made = [each for file in files.files for each in mutants_of(REPOSITORY, file)]
        drawn = sample(made, len(made) if most is None else most, seed)
        left_out[part] = len(made) - len(drawn)
        mutants += [{"part": part, **dataclasses.asdict(each)} for each in drawn]
    given, results = FOLDER / f"{name}.mutants.json", FOLDER / f"{name}.json"
    given.write_text(json.dumps(mutants), encoding="utf-8")
    run_tests(tests, given, results, FOLDER / f"{name}.log")
    done = json.loads(results.read_text("utf-8"))
    (FOLDER / f"{name}.survivors").write_text(
        "\n".join(map(_shown, _alive(done))), encoding="utf-8"
    )
    for part in group:
        counts = Counter(each["verdict"] for each in done if each["part"] == part)
        yield Result(
            part, sum(counts[each] for each in _NOTICED), counts["survived"], counts["untested"],
            counts["not run"], left_out[part],
        )  # fmt: skip


def run_tests(
    tests: Sequence[str], given: Path, results: Path, log: Path, seconds: float = _SECONDS
) -> None:
    """Run *tests* with each mutant of *given*."""
    told = ["--mutants", str(given), "--mutation-results", str(results)]
    told += ["--mutant-seconds", str(seconds), "--basetemp", str(results.with_suffix(".tmp"))]
    quick = ["-q", "--assert=plain", "--tb=native", "-p", "no:cacheprovider"]
    which = ["-m", "not long and not real", *tests]
    with log.open("w", encoding="utf-8") as written:
        subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "tools.mutation_runner", *told, *quick, *which],
            cwd=REPOSITORY, stdout=written, stderr=subprocess.STDOUT, check=True,
        )  # fmt: skip


def sample(mutants: Sequence[Any], most: int, seed: int) -> Sequence[Any]:
    """Return *most* of *mutants*, drawn with *seed*, in their order."""
    if len(mutants) <= most:
        return mutants
    by_seed = sorted(range(len(mutants)), key=lambda each: _digest(f"{seed} {each}"))
    return [mutants[each] for each in sorted(by_seed[:most])]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _alive(done: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in done if each["verdict"] in {"survived", "untested"}]


def _shown(mutant: Mapping[str, Any]) -> str:
    """Return a mutant that no test noticed as the lines it takes and gives."""
    lines = (REPOSITORY / mutant["file"]).read_text("utf-8").splitlines()
    taken = lines[mutant["first"] - 1 : mutant["end"] - 1]
    return "\n".join([
        f"{mutant['file']}:{mutant['first']} {mutant['function']} {mutant['verdict']}",
        *(f"- {each.strip()}" for each in taken),
        *(f"+ {each.strip()}" for each in mutant["lines"]),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
