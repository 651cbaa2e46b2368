"""Explains why an app's module cannot be imported: where it failed, and what to do."""

import os
import sys
import traceback
from pathlib import Path


def explained(problem: Exception, folder: Path) -> str:
    """Return one line: where in the app's own files, what went wrong, what to do."""
    sentence = f"{_location(problem, folder)}: {type(problem).__name__}: {_message(problem)}"
    advice = _advice(problem)
    return f"{sentence}; {advice}" if advice else sentence


def _location(problem: Exception, folder: Path) -> str:
    if isinstance(problem, SyntaxError) and problem.filename:
        return _named(problem.filename, problem.lineno, folder)
    frames = traceback.extract_tb(problem.__traceback__)
    own = [each for each in frames if Path(each.filename).is_relative_to(folder)]
    return _named(own[-1].filename, own[-1].lineno, folder) if own else str(folder)


def _named(file: str, line: int | None, folder: Path) -> str:
    path = Path(file)
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return f"importing {shown} failed in line {line}"


def _message(problem: Exception) -> str:
    if isinstance(problem, SyntaxError):
        code = (problem.text or "").strip()
        return f"{problem.msg}: {code}" if code else problem.msg
    return str(problem)


def _advice(problem: Exception) -> str:
    match problem:
        case ModuleNotFoundError() if problem.name:
            package = problem.name.partition(".")[0]
            return (
                f"is {package} in requirements.txt? Install it where this host runs:"
                f" {sys.executable} -m pip install -r requirements.txt"
            )
        case KeyError() if _asked_environment(problem):
            return "put the setting under Values in local.settings.json, or into the environment"
        case _:
            return ""


def _asked_environment(problem: KeyError) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(problem.__traceback__)]
    return bool(frames) and frames[-1].f_globals is vars(os)
