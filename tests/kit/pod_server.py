"""The workload of tests on a cluster; it runs in a pod, alone, as /app/server.py.

It answers every path with what it is. Some paths do more: /inside looks around, /given says which
release it has, /sick makes it unready, /eat takes memory without end, /exit ends it.
As a process of this machine it is told by HOST where to listen.
"""

import hashlib
import http.server
import json
import os
import signal
import socketserver
import sys
import threading
from pathlib import Path
from typing import Any

SICK = Path("/tmp/sick")


def inside() -> dict[str, Any]:
    """Return what this process may do and see."""
    quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    return {
        "uid": os.getuid(),
        "processes": sorted(int(each.name) for each in Path("/proc").glob("[0-9]*")),
        "wrote": [folder for folder in ("/app", "/", os.environ["HOME"], "/tmp") if wrote(folder)],
        "cpuQuota": int(quota.read_text()) if quota.exists() else None,
    }


def given() -> dict[str, Any]:
    """Return which program this is and what it reads; of secrets and variables only digests."""
    secrets = Path(os.environ.get("RUNTIME_SECRETS", "/nothing")).glob("[!.]*")
    return {
        "revision": int(os.environ["RUNTIME_RELEASE_REVISION"]),
        "program": digest(Path(__file__).read_bytes()),
        "configuration": {path.name: path.read_text() for path in configured()},
        "files": {path.name: digest(path.read_bytes()) for path in secrets},
        "variables": {name: digest(value.encode()) for name, value in os.environ.items()},
    }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def configured() -> list[Path]:
    folder = Path(os.environ.get("RUNTIME_CONFIGURATION", "/nothing"))
    return [*folder.glob("[!.]*.*"), *folder.glob(".env")]


def configuration() -> dict[str, Any]:
    """Return what it reads in the folder of its configuration, and what it could change there."""
    paths = configured()
    return {
        "files": {path.name: path.read_text() for path in paths},
        "changed": [path.name for path in paths if wrote(str(path.parent)) or changed(path)],
    }


def changed(path: Path) -> bool:
    try:
        path.chmod(0o600)
        path.write_text("changed")
    except OSError:
        return False
    return True


def wrote(folder: str) -> bool:
    try:
        Path(folder, "written").write_text("x")
    except OSError:
        return False
    return True


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers in JSON; 503 while it is sick."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path == "/sick":
            SICK.touch()
        if self.path == "/exit":
            sys.stdout.write("no way on\n")
            sys.stdout.flush()
            os._exit(3)
        if self.path == "/eat":
            held = [b"x" * (1 << 20) for _ in range(1 << 14)]
            sys.stdout.write(f"{len(held)}\n")
        found = {
            "release": {"version": os.environ.get("VERSION", "")},
            "environ": dict(os.environ),
            "inside": inside() if self.path == "/inside" else None,
            "configuration": configuration() if self.path == "/inside" else None,
        }
        if self.path == "/given":
            found = given()
        body = json.dumps(found).encode()
        self.send_response(503 if SICK.exists() else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.stdout.write(f"started {os.environ.get('VERSION', '')}\n")
    sys.stdout.flush()
    if "PORT" in os.environ:
        Server((os.environ.get("HOST", ""), int(os.environ["PORT"])), Handler).serve_forever()
    threading.Event().wait()


if __name__ == "__main__":
    main()
