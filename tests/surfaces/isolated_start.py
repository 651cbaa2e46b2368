"""Starts one workload in a sandbox, does something to it, and prints how it ended.

The argument is JSON: `folder`, where it starts, and `command`; `act`, one of ACTS, done once it
wrote `ready`; `files`, texts by their path below `folder`, which are its program where that begins
with `work/`; `namespaces`, `landlock` and `filters`, to use less than this machine has; `limits`,
`port`, `environ`, and `data`, a folder; `secrets`, texts by the name of the file; `sandbox`, what
to put in place of parts of it.
"""

import asyncio
import ctypes
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from local_agent import process_trees, starts
from local_agent.limits import rlimits
from local_agent.process_identity import ProcessIdentity
from local_agent.sandbox import system_calls
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import sandbox_order, share_program
from shared.kernel.clock import SystemClock
from shared.surfaces.spec import Resources

ACTS: Final[Mapping[str, Callable[[ProcessIdentity], None]]] = {
    "terminate": process_trees.terminate,
    "kill": process_trees.kill,
    "killShim": lambda identity: os.kill(identity.pid, signal.SIGKILL),
}


def _instance(order: Mapping[str, Any]) -> Path:
    folder = Path(order["folder"]) / "state" / "instance"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("home", "tmp", "root", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, content in order.get("files", {}).items():
        path = folder.parents[1] / name if not name.startswith("work/") else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def _start(order: Mapping[str, Any], folder: Path) -> int:
    there = tried_means()
    in_force = replace(
        there,
        is_namespaced=order.get("namespaces", there.is_namespaced),
        landlock=order.get("landlock", there.landlock),
        filters_calls=order.get("filters", there.filters_calls),
    )
    data = [Path(order["data"])] if "data" in order else []
    if in_force.has_own_user:
        share_program(folder / "work")
    sandbox = sandbox_order(
        in_force,
        folder,
        str(os.getpid()),
        owned=[folder / "home", folder / "tmp"],
        program=folder / "work",
        data=data,
        secrets=folder / "secrets" if "secrets" in order else None,
        port=order.get("port"),
    )
    if sandbox is not None:
        vars(sandbox).update(order.get("sandbox", {}))
    return starts.spawn(
        folder,
        str(os.getpid()),
        order["command"],
        environ={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "HOST": str(os.getpid()),
            "KEY": str(_key_of_this_session()),
            **order.get("environ", {}),
        },
        workdir=folder / "work",
        output=folder / "output.log",
        limits=rlimits(Resources(**order.get("limits", {})), in_force),
        secret_files=order.get("secrets", {}),
        sandbox=sandbox,
    )


def _key_of_this_session() -> int:
    """Return the number of a key in a session keyring of this process; -1 where there are none."""
    with suppress(OSError):
        system_calls.join_new_session_keyring()
    add_key = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
    session = -3  # KEY_SPEC_SESSION_KEYRING
    return int(ctypes.CDLL(None).syscall(add_key, b"user", b"platform", b"secret", 6, session))


async def main(order: Mapping[str, Any]) -> None:
    folder, clock = _instance(order), SystemClock()
    _, cores_max = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (cores_max, cores_max))
    pid = _start(order, folder)
    act = ACTS.get(order.get("act", ""))
    while not (waited := os.waitpid(pid, os.WNOHANG))[0]:  # noqa: ASYNC222  it does not wait
        identity = starts.read_claim(starts.claim_file(folder, str(os.getpid())))
        if act is not None and identity and "ready" in (folder / "output.log").read_text():
            act(identity)
            act = None
        await clock.sleep(0.01)
    output = (folder / "output.log").read_text(errors="replace")
    there = tried_means()
    report = {
        "code": os.waitstatus_to_exitcode(waited[1]),
        "core": os.WCOREDUMP(waited[1]),
        "output": output,
        "landlock": there.landlock,
        "filters": there.filters_calls,
    }
    print(json.dumps({**report, "namespaces": order.get("namespaces", there.is_namespaced)}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
