"""Trials: a script is started as a workload is, to see whether something works on this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import psutil

from local_agent import launcher, process_trees
from local_agent.process_identity import ProcessIdentity, boot
from local_agent.sandbox.order import SandboxOrder
from local_agent.starts import claim_file, make_folders, read_claim, spawn


@contextmanager
def trial_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder for `status_of_trial`, in *parent* or the system's for such."""
    with TemporaryDirectory(dir=parent) as name:
        make_folders(Path(name))
        yield Path(name)


def status_of_trial(
    folder: Path,
    script: str,
    sandbox: SandboxOrder | None,
    limits: Mapping[str, int] = MappingProxyType({}),
    *,
    within_s: float = 10.0,
) -> int:
    """Run the shell's *script* in *folder*, which has `tmp`, to its end; return its exit code.

    One that does not end *within_s* is killed, and counts as not started.
    """
    pid = spawn(
        folder,
        "trial",
        ["/bin/sh", "-c", script],
        environ={},
        workdir=folder / "tmp",
        output=folder / "output",
        limits=limits,
        sandbox=sandbox,
    )
    try:
        return int(psutil.Process(pid).wait(within_s))
    except psutil.TimeoutExpired:
        process_trees.kill(
            read_claim(claim_file(folder, "trial")) or ProcessIdentity(pid, 0, boot(), "trial")
        )
        os.waitpid(pid, 0)
        return launcher.NOT_STARTED
