"""A user without rights who may have user namespaces, for tests that root runs.

`newuidmap` is Debian's, unpacked and not installed. The user and its range of ids exist in the
mount namespace of its command only, in which folders of root that it needs are open to it too.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from cli.state_folder import REPOSITORY

USER_ID: Final = 12345
_SCRIPT: Final = """
set -e
start=$PWD
cd "$1"
mkdir -p open
n=0
for needed in $NEEDED; do
  n=$((n+1)); mkdir -p open/$n; mount --bind "$needed" open/$n
done
for closed in $CLOSED; do mount -t tmpfs -o mode=755 open "$closed"; done
n=0
for needed in $NEEDED; do
  n=$((n+1)); mkdir -p "$needed"; mount --bind open/$n "$needed"
done
for file in passwd group subuid subgid; do mount --bind $file /etc/$file; done
shift
cd "$start"
exec setpriv --reuid $ID --regid $ID --clear-groups env -u CLOSED -u NEEDED "$@"
"""


def as_user(folder: Path, words: Sequence[str]) -> tuple[Sequence[str], dict[str, str]]:
    """Return the command, and its environ, that runs *words* as the user; *folder* is its own."""
    programs = _install(folder)
    entry = f"tester:x:{USER_ID}:{USER_ID}::{folder}:/bin/sh\n"
    (folder / "passwd").write_text(Path("/etc/passwd").read_text() + entry)
    (folder / "group").write_text(Path("/etc/group").read_text() + f"tester:x:{USER_ID}:\n")
    for name in ("subuid", "subgid"):
        (folder / name).write_text("tester:200000:65536\n")
        if not Path("/etc", name).exists():
            pytest.skip(f"this machine has no /etc/{name}")
    os.chown(folder, USER_ID, USER_ID)
    needed = [Path(sys.base_prefix), Path(sys.prefix).resolve(), REPOSITORY]
    closed = {path: gate for path in needed if (gate := _closed(path)) is not None}
    environ = {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(folder),
        "ID": str(USER_ID),
        "CLOSED": " ".join(sorted({str(each) for each in closed.values()})),
        "NEEDED": " ".join(sorted(str(each) for each in closed)),
    }
    return ("unshare", "--mount", "bash", "-c", _SCRIPT, "bash", str(folder), *words), environ


def _closed(path: Path) -> Path | None:
    """Return the first folder on the way to *path* that others may not enter."""
    return next((each for each in reversed(path.parents) if not each.stat().st_mode & 0o001), None)


def _install(folder: Path) -> Path:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("this machine's user is not root, or it has no Debian packages")
    programs, unpacked = folder / "programs", folder / "unpacked"
    programs.mkdir()
    download = ["apt-get", "download", "--quiet", "uidmap"]
    if subprocess.run(download, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("this machine reaches no Debian packages")
    package = next(folder.glob("uidmap_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), str(unpacked)], check=True)
    for name in ("newuidmap", "newgidmap"):
        shutil.copy(unpacked / "usr/bin" / name, programs)
        (programs / name).chmod(0o4755)
    return programs
