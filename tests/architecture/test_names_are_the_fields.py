"""Names are those of the field; the few house words stand in the glossary."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HOUSES: Final = ("shared", "function_apps", "local_agent", "local_cloud", "local_host", "cli")
MODULES: Final = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
GLOSSARY: Final = ROOT / "docs" / "glossary.md"

FILES: Final = frozenset(
    {
        "dossier", "errands", "telling", "interruptions", "undoing", "surroundings", "signals",
        "reading", "looking", "sweeping", "observing", "counting", "comparing", "hysteresis",
        "evidence", "access", "units", "planning", "preparing", "changing", "gating", "ending",
        "turning_back", "draining", "applying", "running", "decommissioning", "world", "split",
        "compose", "wire_forms", "progress", "embedding", "live", "local", "keeper", "taking_away",
        "stopping", "edge", "xds", "journal", "http_front", "http_gate", "admission", "walk",
        "alarms", "library", "links", "hub", "contexts", "console", "deadlines", "place", "fixes",
        "following", "screen", "rollout_view", "story", "stage",
    }
)  # fmt: skip
"""House words that files had; each has a name of the field now."""

NAMES: Final = frozenset(
    {
        "Errand", "Ticket", "Drawn", "DrainTicket", "GateErrand", "Story", "Steps", "Dossier",
        "Leaving", "Course", "CourseStep", "Retreat", "Opening", "Going", "Look", "ModuleOf",
        "StepOf", "ShiftOf", "ProblemOf", "RemainsOf", "Problem", "Ground", "Patience", "Waiting",
        "Claim", "ModuleLine", "HoldMark", "KnownEnvironment", "KnownBinding", "Fact",
        "TrafficShift",
        "Seen", "Watch", "Beside", "Bell", "Workshop", "Started", "Embedding", "Knowledge",
        "Overtaken", "PlanMoved", "GateDiffers", "NothingHeld", "OperationOver", "Contended",
        "NotOffered", "HookNotOffered", "dossier", "leaving", "patience", "waits_for", "admit",
        "pass_on", "learn", "absences", "placed", "released", "spec_of", "question", "evidence_of",
        "refuse_unsoaked", "unmarked", "open_rollout", "look_at_environment", "fix_unit",
        "look_gone",
        "look_ready", "turn_back", "take_over", "tell_drained", "holding", "own", "is_ended_by",
        "observed", "watch", "blind", "yardstick", "nudge", "wake", "offer", "outside_name",
        "is_worth_keeping", "standing", "scanned", "weigh_absence", "retire_again",
    }
)  # fmt: skip
"""Names of the same kind, of classes and functions."""

WORDS_OF_THE_HOUSE: Final = re.compile(r"^\| \*\*([a-z ]+)\*\* \|", re.MULTILINE)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _definitions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name.lstrip("_")


def test_no_file_has_a_name_that_a_colleague_would_have_to_ask_about() -> None:
    assert [_name(path) for path in MODULES if path.stem in FILES] == []


def test_no_class_or_function_has_such_a_name() -> None:
    found = {
        f"{_name(path)}: {name}" for path in MODULES for name in _definitions(path) if name in NAMES
    }

    assert sorted(found) == []


def test_the_house_words_are_few_and_have_a_sentence_each() -> None:
    words = WORDS_OF_THE_HOUSE.findall(GLOSSARY.read_text())

    assert sorted(words) == ["fence", "hold", "reading", "release unit"]


def test_no_event_of_a_file_name_is_a_participle() -> None:
    """A file is a noun or its command's verb (`roll_back.py`, not `rolling_back.py`)."""
    nouns = {
        "http_binding",
        "indexing",
        "scaling",
        "messaging",
        "probing",
        "routing",
        "binding",
        "finding",
        "sizing",
        "string",
        "testing",
    }
    stems = {path.stem for path in MODULES} | {path.parent.name for path in MODULES}

    assert sorted(stem for stem in stems if stem.endswith("ing") and stem not in nouns) == []
