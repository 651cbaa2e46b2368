"""Two commits, one benchmark, in turn: is the new one slower, or is it the machine?

    .venv/bin/python -m benchmarks.pairs OLD NEW g6 --pairs 7

Each commit is checked out into a worktree with an environment of its own, both removed afterwards,
and runs the benchmark of its own tree. A ratio is what the new commit costs over what the old one
costs in the same pair: above 1 is slower. A row is worse only if the median ratio exceeds 1.10 and
six of seven pairs are on that side; one disturbed pair says nothing.

Exits 0 when no row is worse, 1 when one is, 2 when a side could not be measured.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peer_environments import HOME, ROOT
from benchmarks.processes import running

SIDE = Path(__file__).with_name("side.py")
WORSE_ABOVE = 1.10
AGREE_MIN = 6 / 7
FAILED = 2


@dataclass(frozen=True)
class Verdict:
    """What the pairs of one row say; `agreeing` are on the median's side of 1."""

    ratios: tuple[float, ...]
    median: float
    agreeing: int

    @property
    def is_worse(self) -> bool:
        enough = self.agreeing >= math.ceil(AGREE_MIN * len(self.ratios))
        return self.median > WORSE_ABOVE and enough


def judge(ratios: Sequence[float]) -> Verdict:
    """Judge the ratios of one row, one of each pair."""
    median = statistics.median(ratios)
    agreeing = sum((ratio > 1) == (median > 1) for ratio in ratios)
    return Verdict(tuple(ratios), median, agreeing)


def costs(python: Path, tree: Path, name: str) -> Mapping[str, float]:
    """Run *name* once in *tree*; return what each row costs, less is better.

    Raises:
        RuntimeError: it ended without figures; the message has its last words.
    """
    with running(
        [python, "-P", SIDE, name], cwd=tree,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        printed, complaint = process.communicate()
    try:
        answered = json.loads(printed.strip().splitlines()[-1])
        figures: dict[str, float] = answered["figures"]
    except (IndexError, ValueError, KeyError, TypeError) as failed:
        raise RuntimeError(f"{name} in {tree.name}: {complaint[-2000:]}") from failed
    if answered["more_is_better"]:
        return {row: 1 / figure for row, figure in figures.items()}
    return figures


@contextmanager
def checked_out(commit: str, tree: Path) -> Iterator[tuple[Path, Path]]:
    """Check *commit* out as *tree*; yield the interpreter of its own environment, and *tree*."""
    base = getattr(sys, "_base_executable", sys.executable)
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
    try:
        make = ["make", "--silent", "-C", str(tree), ".venv/.all", f"PYTHON={base}"]
        subprocess.run(make, check=True)
        yield tree / ".venv" / "bin" / "python", tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def measured(old: str, new: str, name: str, pairs: int) -> Mapping[str, Verdict]:
    """Measure both commits *pairs* times; who begins changes from pair to pair."""
    ratios: dict[str, list[float]] = {}
    HOME.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=HOME)))
        sides = {
            label: stack.enter_context(checked_out(commit, folder / label))
            for label, commit in (("old", old), ("new", new))
        }
        for number in range(pairs):
            order = ("old", "new") if number % 2 == 0 else ("new", "old")
            pair = {label: costs(*sides[label], name) for label in order}
            if pair["old"].keys() != pair["new"].keys():
                raise RuntimeError(f"other rows: {sorted(pair['old'])}, {sorted(pair['new'])}")
            for row in pair["old"]:
                ratios.setdefault(row, []).append(pair["new"][row] / pair["old"][row])
            print(f"pair {number + 1} of {pairs} measured", file=sys.stderr)
    return {row: judge(each) for row, each in ratios.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs")
    parser.add_argument("old", help="a commit")
    parser.add_argument("new", help="a commit")
    parser.add_argument("name", help="g1, g3, g4, g5, g6, g7 or g14")
    parser.add_argument("--pairs", type=int, default=7)
    asked = parser.parse_args()
    try:
        verdicts = measured(asked.old, asked.new, asked.name, asked.pairs)
    except (RuntimeError, subprocess.CalledProcessError) as failed:
        print(failed, file=sys.stderr)
        return FAILED
    print(f"{asked.name}: cost of {asked.new} over {asked.old}, {asked.pairs} pairs")
    for row, verdict in verdicts.items():
        each = " ".join(f"{ratio:.2f}" for ratio in verdict.ratios)
        word = "WORSE" if verdict.is_worse else "not worse"
        of = f"{verdict.agreeing} of {len(verdict.ratios)} agree"
        print(f"  {row:<30} median {verdict.median:.2f}   {of}   {word:<9}   {each}")
    return int(any(verdict.is_worse for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
