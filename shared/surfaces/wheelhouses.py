"""What an archive of wheels may ask an installer to do: install its own wheels, and nothing else.

`requirements.txt` of an archive is foreign text, and pip's format has options: `-r` reads a file of
the host, an address or `--find-links` asks the network, a source archive runs its build. So only
pins are taken, in the form that `pip-compile --generate-hashes --strip-extras` writes.
"""

import re
import zipfile
from collections.abc import Sequence
from typing import Final

from shared.surfaces.errors import BadArtifact

REQUIREMENTS: Final = "requirements.txt"
REQUIREMENTS_BYTES_MAX: Final = 1 << 20
_WHEEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
_PIN: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._+!]*( --hash=sha256:[0-9a-f]{64})+"
)


def wheels_of(names: Sequence[str]) -> list[str]:
    """Return the wheels at the root of an archive with the files *names*; none is no wheelhouse.

    Raises:
        BadArtifact: the name of one could be taken for an option.
    """
    wheels = [name for name in names if "/" not in name and name.endswith(".whl")]
    for number, name in enumerate(wheels, 1):
        if not _WHEEL.fullmatch(name):
            raise BadArtifact(f"wheel {number} of the archive has a name that no wheel can have")
    return wheels


def refuse_unsafe_wheelhouse(zip_file: zipfile.ZipFile, names: Sequence[str]) -> None:
    """Refuse an archive of wheels that asks for more than the installation of its wheels.

    Raises:
        BadArtifact: as for `wheels_of` and `pins`.
    """
    if wheels_of(names) and REQUIREMENTS in names:
        with zip_file.open(REQUIREMENTS) as file:
            pins(file.read(REQUIREMENTS_BYTES_MAX + 1))


def pins(requirements: bytes) -> list[str]:
    """Return the lines `NAME==VERSION --hash=sha256:…` of *requirements*.

    Comments and empty lines are left out; a line that ends in a backslash goes on in the next.

    Raises:
        BadArtifact: another line, which is named by its number and not shown, or too many bytes.
    """
    if len(requirements) > REQUIREMENTS_BYTES_MAX:
        raise BadArtifact(f"{REQUIREMENTS} has more than {REQUIREMENTS_BYTES_MAX} bytes")
    found, words, first = [], list[str](), 1
    # Any byte that is not ASCII becomes a character that no pin has.
    lines = requirements.decode("ascii", "replace").split("\n")
    for number, line in enumerate([*lines, ""], 1):
        text = re.sub(r"(^|\s)#.*", "", line.rstrip("\r")).strip(" \t")
        words += text.removesuffix("\\").split()
        if text.endswith("\\"):
            continue
        if words:
            found.append(_pin(" ".join(words), first))
        words, first = [], number + 1
    return found


def _pin(text: str, line: int) -> str:
    if not _PIN.fullmatch(text):
        raise BadArtifact(
            f"line {line} of {REQUIREMENTS}: expected NAME==VERSION --hash=sha256:… and nothing "
            "else, with wheels in the archive; leave the file out to install every wheel"
        )
    return text
