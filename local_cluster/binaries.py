"""The programs of a cluster: where a setting says, else in the cache that `make kubebox` fills.

What is in the cache was built from the modules that `tools/kubebox/go.sum` and
`tools/noderuntime/go.sum` pin: its folders are named for these files, so that other pins never find
what was built from these.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.kernel.errors import Unavailable

KUBEBOX: Final = "RUNTIMECTL_KUBEBOX"
"""The setting that names the program `kubebox`."""
NODE_RUNTIME: Final = "RUNTIMECTL_NODE_RUNTIME"
"""The setting that names the folder of containerd, runc and what else a node needs."""
RUNTIME_PROGRAMS: Final = (
    "containerd", "containerd-shim-runc-v2", "ctr", "runc", "bridge", "host-local", "loopback",
    "pause", "registry",
)  # fmt: skip
NFT: Final = "nft"
CRANE: Final = "crane"
_SAYS_WITHIN_S: Final = 10.0
_TOOLS: Final = Path(__file__).resolve().parent.parent / "tools"


@dataclass(frozen=True)
class Binaries:
    kubebox: Path
    runtime: Path | None
    """The folder of a node's programs; None without a whole one."""

    @property
    def nft(self) -> str | None:
        """The `nft` by which nodes have addresses for Services, and enforce policies."""
        return None if self.runtime is None else find_nft(self.runtime)


def find_binaries(cache: Path) -> Binaries:
    """Return the programs that settings name, or that lie in *cache*.

    Raises:
        Unavailable: there is no kubebox, or a setting names a folder without all of a node's
            programs.
    """
    kubebox = Path(os.environ.get(KUBEBOX) or kubebox_folder(cache) / "kubebox")
    if not kubebox.is_file():
        raise Unavailable(f"there is no {kubebox}: `make kubebox` builds it, or {KUBEBOX} names it")
    runtime = Path(os.environ.get(NODE_RUNTIME) or runtime_folder(cache))
    lacking = [name for name in RUNTIME_PROGRAMS if not (runtime / name).is_file()]
    if lacking and os.environ.get(NODE_RUNTIME):
        raise Unavailable(f"{NODE_RUNTIME} names {runtime}, which lacks {', '.join(lacking)}")
    return Binaries(kubebox.resolve(), None if lacking else runtime.resolve())


def require_kubebox(program: Path) -> None:
    """Refuse what is no kubebox: without a component's name that one says which it has.

    Raises:
        Unavailable.
    """
    try:
        said = subprocess.run(  # noqa: S603  the program that the cluster is made of
            [str(program)], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=_SAYS_WITHIN_S,
        ).stderr  # fmt: skip
    except (OSError, subprocess.SubprocessError) as failed:
        raise Unavailable(f"{program} cannot be run: {failed}") from failed
    if not said.startswith(b"usage: kubebox "):
        raise Unavailable(
            f"{program} is no kubebox: `make kubebox` builds it, or {KUBEBOX} names it"
        )


def find_nft(runtime: Path) -> str | None:
    """Return the `nft` that a node finds, whose programs lie in *runtime*; None without one."""
    return shutil.which(NFT, path=f"{runtime}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin")


def kubebox_folder(cache: Path) -> Path:
    return pinned_folder(cache, "kubebox")


def runtime_folder(cache: Path) -> Path:
    return pinned_folder(cache, "noderuntime")


def pinned_folder(cache: Path, module: str) -> Path:
    """Return where the programs lie that are built from what `tools/<module>/go.sum` pins."""
    pins = hashlib.sha256((_TOOLS / module / "go.sum").read_bytes()).hexdigest()[:16]
    return cache / f"{module}-{pins}"
