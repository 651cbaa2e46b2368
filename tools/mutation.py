"""`make mutate`: change one thing at a time in the code that decides, and run the tests of it.

A mutant that no test notices has survived: the rule it changes is in no test. mutmut makes and runs
them, in a copy of the tree below `build/mutation`, where the survivors are left as differences.
"""

import argparse
import configparser
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = REPOSITORY / "build" / "mutation"
KILLED_LEAST: Final = 0.85
"""The part of the mutants that tests have to notice."""
_SOURCES: Final = ("function_apps", "shared")
_NOTICED: Final = ("killed", "timeout", "segfault", "suspicious")


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

    @property
    def total(self) -> int:
        return self.noticed + self.survived + self.untested

    @property
    def killed(self) -> float:
        return self.noticed / self.total if self.total else 1.0

    def row(self) -> str:
        """Return it as a row of the printed table."""
        return (
            f"| {self.part} | {self.total} | {self.noticed} | {self.survived} | {self.untested} "
            f"| {self.killed:.0%} |"
        )


def parts() -> Mapping[str, Part]:
    """Return the models of all services, and what every service stands on."""
    models = sorted(path.parent for path in (REPOSITORY / "function_apps").glob("*/model"))
    return {
        **{
            folder.name: Part(
                (f"function_apps/{folder.name}/model/*.py",), (f"tests/{folder.name}",)
            )
            for folder in models
        },
        "unit_of_work": Part(("shared/messaging/unit_of_work.py",), ("tests/messaging",)),
        "relay": Part(("shared/messaging/relay.py",), ("tests/messaging",)),
        "dispatcher": Part(("shared/messaging/dispatcher.py",), ("tests/messaging",)),
        "sweep": Part(("shared/messaging/sweep.py",), ("tests/messaging", "tests/health")),
        "authentication": Part(("shared/web/authentication.py",), ("tests/web",)),
    }


def main() -> int:
    """Run the parts that are named, or all; 1 where too many mutants of one survived."""
    known = parts()
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}")
    chosen = parser.parse_args().parts or list(known)
    for name in chosen:
        if name not in known:
            parser.error(f"there is no part {name!r}; expected {', '.join(known)}")
    print("| part | mutants | killed | survived | untested | killed of all |")
    print("|---|---|---|---|---|---|", flush=True)
    results = []
    for name in chosen:
        results.append(_run(name, known[name]))
        print(results[-1].row(), flush=True)
    return int(any(each.killed < KILLED_LEAST for each in results))


def _run(name: str, part: Part) -> Result:
    folder = FOLDER / name
    _copy_tree(folder)
    write_settings(folder / "setup.cfg", part)
    mutmut = [sys.executable, "-m", "mutmut"]
    processors = os.cpu_count() or 1
    with (FOLDER / f"{name}.log").open("w", encoding="utf-8") as log:
        subprocess.run(
            [*mutmut, "run", "--max-children", f"{processors}"],
            cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=True,
        )  # fmt: skip
        subprocess.run([*mutmut, "export-cicd-stats"], cwd=folder, stdout=log, check=True)
    counted = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text("utf-8"))
    (FOLDER / f"{name}.diff").write_text(_survivors(mutmut, folder), encoding="utf-8")
    noticed = sum(counted[each] for each in _NOTICED)
    return Result(name, noticed, counted["survived"], counted["no_tests"])


def _copy_tree(folder: Path) -> None:
    """Copy what git knows, but for its own settings of tools."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    for path in filter(None, listed.split("\0")):
        if (REPOSITORY / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / path, folder / path)


def write_settings(file: Path, part: Part) -> None:
    """Write to *file*, at the root of a copied tree, what mutmut has to do with *part*."""
    of_tree = sorted(each.name for each in file.parent.iterdir())
    settings = configparser.ConfigParser()
    settings["mutmut"] = {
        "source_paths": _lines(_SOURCES),
        "only_mutate": _lines(part.files),
        "also_copy": _lines([each for each in of_tree if each not in _SOURCES]),
        "pytest_add_cli_args": _lines(["-p", "no:cacheprovider", "-m", "not long and not real"]),
        "pytest_add_cli_args_test_selection": _lines(part.tests),
    }
    with file.open("w", encoding="utf-8") as written:
        settings.write(written)


def _lines(words: Sequence[str]) -> str:
    return "\n" + "\n".join(words)


def _survivors(mutmut: Sequence[str], folder: Path) -> str:
    """Return each change that no test noticed."""
    listed = subprocess.run(
        [*mutmut, "results"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    names = [line.partition(":")[0].strip() for line in listed.splitlines() if ": " in line]
    shown = [
        subprocess.run(
            [*mutmut, "show", each], cwd=folder, check=True, capture_output=True, text=True
        ).stdout
        for each in names
    ]
    return "\n".join(shown)


if __name__ == "__main__":
    sys.exit(main())
