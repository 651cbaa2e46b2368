"""Explains why an app's module cannot be imported: where it failed, and what to do."""

import importlib.util
import os
import shutil
import sys
import traceback
from pathlib import Path

from local_host.invocation.user_code import described


def explained(problem: BaseException, folder: Path) -> str:
    """Return one line: where in the app's own files, what went wrong, what to do."""
    sentence = f"{_location(problem, folder)}: {_message(problem)}"
    advice = _advice(problem, folder)
    return f"{sentence}; {advice}" if advice else sentence


def _location(problem: BaseException, folder: Path) -> str:
    if isinstance(problem, SyntaxError) and problem.filename:
        return _place(problem.filename, problem.lineno, folder)
    frames = traceback.extract_tb(problem.__traceback__)
    own = [each for each in frames if Path(each.filename).is_relative_to(folder)]
    return _place(own[-1].filename, own[-1].lineno, folder) if own else str(folder)


def _place(file: str, line: int | None, folder: Path) -> str:
    path = Path(file)
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return f"importing {shown} failed in line {line}"


def _message(problem: BaseException) -> str:
    if isinstance(problem, SyntaxError):
        code = (problem.text or "").strip()
        return f"SyntaxError: {problem.msg}: {code}" if code else f"SyntaxError: {problem.msg}"
    return described(problem)


def _advice(problem: BaseException, folder: Path) -> str:
    match problem:
        case ModuleNotFoundError() if problem.name:
            return _installing(problem.name.partition(".")[0], folder / "requirements.txt")
        case SystemExit() | KeyboardInterrupt():
            return "an app cannot end its process: raise an error that says what is missing"
        case KeyError() if _asked_environment(problem):
            return "put the setting under Values in local.settings.json, or into the environment"
        case _:
            return ""


def _asked_environment(problem: KeyError) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(problem.__traceback__)]
    return bool(frames) and frames[-1].f_globals is vars(os)


def _installing(package: str, requirements: Path) -> str:
    """Return the command that installs *package* where this host runs."""
    what = f"-r {requirements}" if requirements.exists() else package
    return f"is {package} in {requirements}? Install it where this host runs: {_installer()} {what}"


def _installer() -> str:
    python = sys.executable
    if importlib.util.find_spec("pip") is not None:
        return f"{python} -m pip install"
    if (uv := shutil.which("uv")) is not None:
        return f"{uv} pip install --python {python}"
    # An environment that uv has made has no pip, but Python brings one along.
    return f"{python} -m ensurepip && {python} -m pip install"
