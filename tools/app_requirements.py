"""The lines of `requirements.txt` that one app needs in Azure, from what it imports.

Each line keeps its hashes. The graph between the distributions is that of the installed ones, whose
versions are the lock's.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.app_modules import ROOT, NotPackaged

LOCK: Final = ROOT / "requirements.txt"
EXPORTERS: Final = ROOT / "requirements" / "telemetry.txt"
"""Of these an app imports none by itself: a setting of the app names one."""
PYTHONS: Final = ("3.11", "3.12", "3.13")
_FLEX: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}
"""What an instance of the plan Flex Consumption is, to markers (PEP 508)."""


class _Wanted(NamedTuple):
    """A distribution, and the part of its dependencies that belongs to an extra; "" for others."""

    name: str
    extra: str = ""


def requirements(foreign: Iterable[str], *, with_exporters: bool = False) -> str:
    """Return the text of a `requirements.txt` with what the modules *foreign* are from.

    *with_exporters*: and with the exporters of traces and figures.

    Raises:
        NotPackaged: the lock has nothing that a module is from.
    """
    lines = _locked(LOCK)
    seen: set[_Wanted] = set()
    waiting = sorted({_Wanted(_owner(module)) for module in foreign})
    while waiting:
        wanted = waiting.pop()
        if wanted not in seen:
            seen.add(wanted)
            waiting += _required_by(wanted)
    needed = {wanted.name for wanted in seen}
    absent = sorted(needed - lines.keys())
    if absent:
        raise NotPackaged(f"{LOCK.name} lacks {', '.join(absent)}: run make lock")
    exporters = _locked(EXPORTERS).keys() - needed if with_exporters else ()
    return lines_of(LOCK, sorted(needed)) + lines_of(EXPORTERS, sorted(exporters))


def lines_of(lock: Path, names: Iterable[str]) -> str:
    """Return the lines that *lock* has for the distributions *names*, with their hashes."""
    locked = _locked(lock)
    return "".join(line for name in names for line in locked[name])


def _required_by(wanted: _Wanted) -> Iterable[_Wanted]:
    for text in distribution(wanted.name).requires or ():
        required = Requirement(text)
        if _applies(required, wanted.extra):
            name = canonicalize_name(required.name)
            yield from (_Wanted(name, extra) for extra in ("", *sorted(required.extras)))


def _applies(requirement: Requirement, extra: str = "") -> bool:
    """Say whether *requirement* of what is wanted with *extra* holds there with some Python."""
    if requirement.marker is None:
        return True
    return any(
        requirement.marker.evaluate(
            {
                **_FLEX,
                "extra": extra,
                "python_version": python,
                "python_full_version": f"{python}.0",
            }
        )
        for python in PYTHONS
    )


@cache
def _locked(lock: Path) -> Mapping[str, list[str]]:
    """Return the lines of each distribution in *lock*, with their hashes, that apply there."""
    lines: dict[str, list[str]] = {}
    for block in _blocks(lock.read_text()):
        requirement = Requirement(block.partition("\\")[0])
        if _applies(requirement):
            lines.setdefault(canonicalize_name(requirement.name), []).append(block)
    return lines


def _blocks(lock: str) -> Iterable[str]:
    """Yield each requirement of *lock* with the lines of its hashes."""
    block = ""
    for line in lock.splitlines(keepends=True):
        if not line.startswith((" ", "#")) and block:
            yield block
            block = ""
        if not line.startswith("#"):
            block += line
    yield block


def _owner(module: str) -> str:
    """Return the distribution that brings *module*, or what it is an attribute of."""
    owners = _owners()
    words = module.split(".")
    for count in range(len(words), 0, -1):
        owner = owners.get(".".join(words[:count]))
        if owner is not None:
            return owner
    raise NotPackaged(f"{LOCK.name} has nothing that brings {module}: add it to a group of apps")


@cache
def _owners() -> Mapping[str, str]:
    """Return the distribution of each module that the lock brings.

    A folder without `__init__.py` may be several distributions' (`azure`), and is nobody's.
    """
    owners: dict[str, str] = {}
    for name in _locked(LOCK):
        for file in distribution(name).files or ():
            path = PurePath(file)
            if path.name == "__init__.py":
                owners[".".join(path.parent.parts)] = name
            elif path.suffix in {".py", ".so"}:
                owners[".".join((*path.parent.parts, path.name.partition(".")[0]))] = name
    return owners
