"""Program that tries, as a workload of a tenant would, to reach what is not its own.

It runs by its file in the sandbox of an instance, and imports the standard library only. What it is
to try is in `RUNTIME_ATTEMPTS`, as `isolation_attempts` writes it. What came of it is its last line
of output: of each layer why its control failed, empty where it held, and what was reached.

With the argument `wait` it is the neighbour: it makes what is its own, says so, and stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import socket
import sys
import tempfile
from typing import Any

ASKED = "RUNTIME_ATTEMPTS"
SECRET = "proof"  # noqa: S105  the name of a file
KEPT = "kept"
"""The file that the neighbour keeps in its home folder, and makes last."""
_MIB = 2**20
_BEYOND_MIB = 64
_ENVIRON_MAX = 2**20


def _write_own(places: list[str]) -> str:
    """Return why a file of its own cannot be written and read in one of *places*."""
    for place in places:
        path = os.path.join(place, "attempt")
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(path)
            with open(path, encoding="ascii") as file:
                if file.read() != path:
                    return f"{path} has another content than was written"
        except OSError as failed:
            return f"its own {path} cannot be written and read: {failed.strerror}"
    return ""


def reached(path: str) -> str:
    """Return how *path* can be used, which is not its own; empty where it cannot."""
    try:
        if not os.path.isdir(path):
            with open(path, "rb") as file:
                file.read(1)
            return f"{path} can be read"
        names = os.listdir(path)
        return f"{path} can be listed ({len(names)} names)"
    except OSError:
        pass
    try:
        if os.path.isdir(path):
            tempfile.TemporaryFile(dir=path).close()  # without a name, so nothing is left
        else:
            os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return ""
    return f"{path} can be written"


def _secret(expected: str) -> str:
    """Return why the secret that was given to it is not there."""
    path = os.path.join(os.environ.get("RUNTIME_SECRETS", "/"), SECRET)
    try:
        with open(path, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
    except OSError as failed:
        return f"its own secret cannot be read: {failed.strerror}"
    return "" if found == expected else "its own secret has another value"


def _processes(marker: str) -> list[str]:
    """Return each process of the neighbour, known by *marker*, whose environ it can read."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if marker.encode() in file.read(_ENVIRON_MAX):
                    found.append(f"the environ of another's process {name} can be read")
        except OSError:
            continue
    return found


def _signals(pid: int) -> list[str]:
    """Return that *pid* can be signalled, unless it is a process of its own here."""
    if pid in {1, os.getpid(), os.getppid()}:  # the numbers are those of its own namespace
        return []
    try:
        os.kill(pid, 0)
    except OSError:
        return []
    return [f"another's process {pid} can be signalled"]


def _binds(port: int) -> str:
    """Return why *port* cannot be listened on; empty where it can."""
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError as failed:
            return f"port {port} cannot be listened on: {failed.strerror}"
    return ""


def _compute(asked: dict[str, Any]) -> tuple[str, list[str]]:
    try:
        os.kill(os.getpid(), 0)
        own = "" if os.path.exists(f"/proc/{os.getpid()}/status") else "it does not see itself"
    except OSError as failed:
        own = f"it cannot signal itself: {failed.strerror}"
    crossed = [*_signals(asked["pid"]), *_processes(asked["marker"][::-1])]
    if asked["port"] is not None:
        own = own or _binds(int(os.environ["PORT"]))
        if not _binds(asked["port"]):
            crossed.append(f"another's port {asked['port']} can be listened on")
    return own, crossed


def _identity(asked: dict[str, Any]) -> tuple[str, list[str]]:
    own = ""
    if os.environ.get("RUNTIME_TENANT_ID") != asked["tenant"]:
        own = "it has not the identity of its tenant"
    if not os.environ.get("RUNTIME_INSTANCE_TOKEN"):
        own = "it has no token of its own"
    crossed = [found for path in asked["identity"] if (found := reached(path))]
    if asked["user"] is not None:
        for user in (asked["user"], 0):
            try:
                os.setuid(user)
            except OSError:
                continue
            crossed.append(f"it can become the user {user}")
    return own, crossed


def _quota(limit_mib: int) -> tuple[str, list[str]]:
    try:
        held = bytearray(_MIB)
        own = "" if held else "it has no memory"
    except MemoryError:
        own = "it has no memory of its own"
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    crossed = [] if limit == limit_mib * _MIB else [f"its limit is {limit} bytes"]
    try:
        bytearray((limit_mib + _BEYOND_MIB) * _MIB)
        crossed.append(f"it can take more than {limit_mib} MiB")
    except MemoryError:
        pass
    return own, crossed


def attempt(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what came of all that is *asked*: of each layer its control, and what was reached."""
    results = {
        "data": (
            _write_own([os.environ["HOME"], os.environ["TMPDIR"]]),
            [found for path in asked["data"] if (found := reached(path))],
        ),
        "secrets": (
            _secret(asked["secret"]),
            [found for path in asked["secrets"] if (found := reached(path))],
        ),
        "compute": _compute(asked),
        "identity": _identity(asked),
    }
    if asked["memoryMib"] is not None:
        results["quota"] = _quota(asked["memoryMib"])
    return {"user": os.getuid(), "layers": results}


def main() -> int:
    if sys.argv[1:] != ["wait"]:
        print(json.dumps(attempt(json.loads(os.environ[ASKED]))), flush=True)  # noqa: T201
        return 0
    failed = _secret(os.environ[ASKED]) or _write_own([os.environ["HOME"]])
    if failed:
        print(failed, flush=True)  # noqa: T201
        return 1
    with open(os.path.join(os.environ["HOME"], KEPT), "x", encoding="ascii") as file:
        file.write(KEPT)
    signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
