"""The harnesses of LocalProcess: a workload of the standard library, real processes, a real Envoy.

One has the agent in a process of its own, behind the client that the apps have; in the other its
surface is an object of the test.
"""

import asyncio
import hashlib
import io
import os
import signal
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from local_agent.launcher import TOKEN_VARIABLE
from local_agent.process_identity import ProcessIdentity, boot, start_ticks
from local_agent.shutdown import stop_agent, stop_everything
from local_agent.surface import LocalProcessSurface
from local_agent.vault_folder import VaultFolder
from local_host.agent_process import AgentProcess
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import NotFound
from shared.surfaces.local_process import ISSUER, AgentSurface, read_record, write_api_url
from shared.surfaces.observed_state import Instance
from shared.surfaces.spec import artifact_blob
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.surfaces.harness import SHOP, SITE, TEMPLATE, SurfaceHarness, fence

SERVER = """
import http.server, json, os, pathlib, signal, sys, threading, time

def given(folder):
    found = {"files": {}, "modes": [], "changed": []}
    for path in pathlib.Path(folder).glob("*"):
        found["files"][path.name] = path.read_text()
        found["modes"].append([oct(path.stat().st_mode & 0o777), path.stat().st_uid == os.getuid()])
        try:
            path.chmod(0o600)
            path.write_text("changed")
            found["changed"].append(path.name)
        except OSError:
            pass
    return found

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment an answer: two wait for each other 40 ms (Nagle)
    def do_GET(self):
        time.sleep(float(os.environ.get("DELAY_S", "0")))
        if self.path == "/eat":
            held = [bytearray(16 << 20) for _ in range(64)]
        if self.path == "/slow":
            time.sleep(1.0)
        answer = {"release": {"version": os.environ["VERSION"]}, "pid": os.getpid(),
                  "environ": dict(os.environ)}
        if self.path == "/inside":
            answer["configuration"] = given(os.environ.get("RUNTIME_CONFIGURATION", "/nothing"))
            answer["secrets"] = given(os.environ.get("RUNTIME_SECRETS", "/nothing"))
            token = os.environ.get("RUNTIME_API_TOKEN_FILE", "/nothing/token")
            answer["api"] = given(os.path.dirname(token))
            answer["mounts"] = pathlib.Path("/proc/mounts").read_text()
        body = json.dumps(answer).encode()
        status = 503 if os.path.exists("sick") else 200
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler) if "PORT" in os.environ else None
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("started", os.environ["VERSION"], flush=True)
server.serve_forever() if server else threading.Event().wait()
"""


class FolderBlobs:
    """Blobs in a folder, as far as a surface reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = b"".join([chunk async for chunk in content])
        path.write_bytes(whole)
        return len(whole)

    async def open(self, name: str) -> AsyncIterator[bytes]:
        path = self.folder / name
        if not path.exists():
            raise NotFound(f"no blob {name}")

        async def chunks() -> AsyncIterator[bytes]:
            yield path.read_bytes()

        return chunks()

    async def size(self, name: str) -> int | None:
        path = self.folder / name
        return path.stat().st_size if path.exists() else None


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def upload(blobs: FolderBlobs, content: bytes) -> str:
    """Store *content* as the API does and return its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = blobs.folder / artifact_blob(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


def answers_at(state: Path, url: str) -> LocalIssuer:
    """Have *state* say that its API answers at *url*; return its issuer, which has a key."""
    write_api_url(state, url)
    clock, entropy = SystemClock(), SystemEntropy()
    issuer = LocalIssuer(state / ISSUER, DEV_ISSUER, AUDIENCE, clock, entropy)
    issuer.token("acme", "ann", ())
    return issuer


def this_process() -> ProcessIdentity:
    pid, token = os.getpid(), os.environ.get(TOKEN_VARIABLE, "")
    return ProcessIdentity(pid, start_ticks(pid) or 0, boot(), token)


class Host:
    """A host process, as far as the surface is concerned: it supervises until it is killed."""

    def __init__(self, root: Path, blobs: FolderBlobs, clock: Clock, vaults: Path) -> None:
        self.root = root
        self.vaults = vaults
        self.clock = clock
        self.blobs = blobs
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> LocalProcessSurface:
        entropy = SystemEntropy()
        secrets = VaultFolder(self.vaults, self.clock, entropy)
        surface = LocalProcessSurface(self.root, self.blobs, secrets, self.clock, entropy)
        self.task = asyncio.create_task(surface.supervise())
        return surface

    async def kill(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    async def restart(self) -> LocalProcessSurface:
        await self.kill()
        return await self.start()


class Agent:
    """The agent of *state*, as a host starts it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process = AgentProcess(state, SystemClock())
        self.surface = AgentSurface(state, self.process.ensure, SystemClock())

    def kill(self) -> int:
        """End it as a crash does, and return the id of its process."""
        record = read_record(self.state)
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        return record.pid

    async def restart(self) -> AgentSurface:
        """Kill it; the next call starts another, as after a crash."""
        self.kill()
        return self.surface


@asynccontextmanager
async def agent_harness(folder: Path) -> AsyncIterator[SurfaceHarness]:
    agent = Agent(folder)
    artifact = upload(FolderBlobs(folder / "blobs" / "artifacts"), zipped({"server.py": SERVER}))
    harness = SurfaceHarness(
        agent.surface,
        SystemClock(),
        replace(TEMPLATE, artifact=artifact),
        agent.restart,
        agent.kill,
        partial(_break_reads, folder / "surface"),
        ask=ask,
    )
    try:
        await agent.surface.ensure_site(SITE, fence(1, "site"))
        yield harness
    finally:
        await stop_agent(folder, SystemClock())
        await stop_everything(folder / "surface", SystemClock())


async def ask(instance: Instance, path: str) -> Mapping[str, Any]:
    url = f"http://{instance.address}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answered:
        found: Mapping[str, Any] = await answered.json(content_type=None)
        return found


def _break_reads(root: Path) -> None:
    site = root / "sites" / SHOP.environment
    for kind in ("components", "running"):
        (site / kind / f"{SHOP.service}.json").write_text("{ half a docum", encoding="utf-8")


@asynccontextmanager
async def local_process_harness(
    folder: Path, clock: Clock | None = None, vaults: Path | None = None
) -> AsyncIterator[SurfaceHarness]:
    """Yield a surface below *folder*; its *vaults* are there, too, unless they are elsewhere."""
    blobs = FolderBlobs(folder / "blobs")
    host = Host(folder / "surface", blobs, clock or SystemClock(), vaults or folder / "vaults")
    surface = await host.start()
    artifact = upload(blobs, zipped({"server.py": SERVER}))
    harness = SurfaceHarness(
        surface,
        SystemClock(),
        replace(TEMPLATE, artifact=artifact),
        host.restart,
        host.kill,
        partial(_break_reads, host.root),
    )
    try:
        await surface.ensure_site(SITE, fence(1, "site"))
        yield harness
    finally:
        await host.kill()
        await stop_everything(host.root, SystemClock())
