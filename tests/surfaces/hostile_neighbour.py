# ruff: noqa: T201  it prints its result
"""Runs a hostile workload beside a well-behaved one, and prints what the other had of it.

Arguments: a folder of its own, for how many seconds each attack lasts, and the names of the
attacks, none for all. For each one the hostile workload is started, attacks, and is removed; before
its removal the agent is killed. One line of JSON per attack: requests of the other that failed, its
latencies in milliseconds, and what was left behind.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
import psutil
from yarl import URL

from local_agent.process_identity import machine_processes
from shared.kernel.clock import SystemClock
from shared.kernel.ids import ModuleId, TenantId
from shared.kernel.observation import Present
from shared.surfaces.spec import HttpProbe, Resources, RevisionSpec, SurfaceComponent
from tests.surfaces.harness import ENVIRONMENT, SurfaceHarness, fence
from tests.surfaces.local_process_harness import FolderBlobs, agent_harness, upload, zipped

HOSTILE: Final = SurfaceComponent(ENVIRONMENT, TenantId("mallory"), ModuleId("module-hostile"))
REQUESTS_PER_S: Final = 50
CLOCK: Final = SystemClock()

PROGRAM: Final = r"""
import http.server, json, os, resource, signal, socket, sys, threading, time

MARK = "hostile-neighbour-was-here"

def fork_storm():
    while True:
        try:
            if os.fork() == 0:
                time.sleep(60)
        except OSError:
            time.sleep(0.001)

def spin():
    for _ in range(8):
        if os.fork() == 0:
            while True:
                pass

def threads():
    while True:
        try:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)

def flood_output():
    line = (MARK * 4000 + "\n").encode()
    while True:
        os.write(1, line)

def fill_disk():
    with open(os.path.join(os.environ["TMPDIR"], "large"), "wb") as file:
        while True:
            file.write(b"x" * (1 << 20))

def million_names():
    for number in range(10 ** 6):
        open(f"name-{number}", "w").close()

def deep_folders():
    for _ in range(5000):
        os.mkdir("d")
        os.chdir("d")

def eat_memory():
    held = []
    while True:
        try:
            held.append(bytearray(8 << 20))
        except MemoryError:
            time.sleep(0.01)

def open_files():
    held = []
    while True:
        try:
            held.append(open("/dev/null"))
        except OSError:
            time.sleep(0.01)

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(3600)
        os._exit(0)

def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)

def stop_itself():
    os.kill(os.getpid(), signal.SIGSTOP)

def crash():
    os._exit(1)

def listen_everywhere():
    held = []
    for port in range(20000, 30000):
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
            held.append(listener)
        except OSError:
            listener.close()
    time.sleep(60)

def connect_to_the_proxy():
    held = []
    while len(held) < 800:
        try:
            held.append(socket.create_connection(("127.0.0.1", int(os.environ["PROXY"])), 1))
        except OSError:
            time.sleep(0.01)
    time.sleep(60)

def closed_folders():
    os.makedirs("closed/inner")
    open("closed/inner/file", "w").close()
    os.chmod("closed/inner", 0)
    os.chmod("closed", 0)
    os.chmod(".", 0o500)

def link_out_of_home():
    home = os.environ["HOME"]
    os.rmdir(home)
    os.symlink(os.environ["OUTSIDE"], home)

def links_in_a_circle():
    for number in range(1000):
        os.symlink(".", f"circle-{number}")

def odd_names():
    for name in (b"\xff\xfe", b"new\nline", b"-rf", b"~", b" ", b"a" * 255):
        open(name, "w").close()

def pipes():
    for number in range(1000):
        os.mkfifo(f"pipe-{number}")

def sockets():
    held = []
    for number in range(200):
        one = socket.socket(socket.AF_UNIX)
        one.bind(f"s{number}")
        held.append(one)
    time.sleep(60)

def sparse_file():
    with open("sparse", "wb") as file:
        file.truncate(1 << 40)

ENDLESS = threading.Event()
SLOW = threading.Event()
LARGE_HEAD = threading.Event()
NONSENSE = threading.Event()
ATTACKS = {name: value for name, value in globals().items() if callable(value) and name.islower()}
ATTACKS.update(endless_answer=ENDLESS.set, slow_answer=SLOW.set, large_head=LARGE_HEAD.set,
               nonsense=NONSENSE.set)
ON_ITSELF = {"ignore_signals", "stop_itself", "crash", "endless_answer", "slow_answer",
             "large_head", "nonsense"}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/attack/"):
            self.answer(b"{}")
            self.wfile.flush()
            self.connection.close()
            name = self.path.rpartition("/")[2]
            if name in ON_ITSELF:
                ATTACKS[name]()
            elif os.fork() == 0:
                ATTACKS[name]()
                os._exit(0)
            return
        if ENDLESS.is_set():
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 65536)
        if SLOW.is_set():
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n":
                self.wfile.write(bytes([byte]))
                time.sleep(0.3)
        if LARGE_HEAD.is_set():
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"X-Head: " + b"x" * 60000 + b"\r\n")
        if NONSENSE.is_set():
            self.wfile.write(os.urandom(1 << 20))
            return
        self.answer(json.dumps({"release": {"version": os.environ["VERSION"]}}).encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
ATTACKS: Final = (
    "fork_storm", "spin", "threads", "flood_output", "fill_disk", "million_names", "deep_folders",
    "eat_memory", "open_files", "daemon", "ignore_signals", "stop_itself", "crash",
    "listen_everywhere", "connect_to_the_proxy", "closed_folders", "link_out_of_home",
    "links_in_a_circle", "odd_names", "pipes", "sockets", "sparse_file", "endless_answer",
    "slow_answer", "large_head", "nonsense",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What one attack did to others."""

    attack: str
    failed: int
    """Requests of the other workload without its answer."""
    quiet_ms: Sequence[float]
    attacked_ms: Sequence[float]
    restarted: int
    """Instances of the other workload that are not the ones from before."""
    left: Sequence[str]
    """Processes, listening ports and files of the attacker that outlived it."""


async def run(folder: Path, for_s: float, attacks: Sequence[str]) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    state = folder / "state"
    async with agent_harness(state) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        site = await harness.surface.read_site(ENVIRONMENT)
        assert isinstance(site, Present)
        url = site.value.endpoint
        archives = FolderBlobs(state / "blobs" / "artifacts")
        artifact = upload(archives, zipped({"hostile.py": PROGRAM}))
        spec = replace(
            harness.spec(1),
            component=HOSTILE,
            version="1.0",
            artifact=artifact,
            command=("python", "hostile.py"),
            path_prefix=None,
            readiness=HttpProbe("/ready", period_s=0.2, timeout_s=2),
            resources=Resources(memory_mb=512),
            environ={
                "VERSION": "1.0",
                "OUTSIDE": str(outside),
                "PROXY": str(URL(url).port),
                "OTHER": url,
            },
        )
        for number, attack in enumerate(attacks, 1):
            seen = await _attack(harness, replace(spec, revision=number), attack, for_s)
            left = [*seen.left, *_changed(outside), *_remains(folder)]
            print(json.dumps(asdict(replace(seen, left=left))), flush=True)


async def _attack(harness: SurfaceHarness, spec: RevisionSpec, attack: str, for_s: float) -> Seen:
    url = spec.environ["OTHER"]
    before = await harness.until(lambda live: live.weights == {1: 100})
    quiet_ms, quiet_failed = await _requests(url, for_s / 2)
    await harness.serve(spec)
    live = await harness.until(lambda _: True, HOSTILE)
    address = live.revisions[-1].instances[0].address
    with suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
            session.get(f"http://{address}/attack/{attack}"),
        ):
            pass
    attacked_ms, failed = await _requests(url, for_s)
    harness.kill_host()
    await harness.surface.remove(HOSTILE, spec.revision, fence(1))
    await harness.until_gone(HOSTILE)
    after = await harness.until(lambda live: live.weights == {1: 100})
    kept = {i.pid for r in before.revisions for i in r.instances}
    now = {i.pid for r in after.revisions for i in r.instances}
    return Seen(attack, quiet_failed + failed, quiet_ms, attacked_ms, len(now - kept), [])


async def _requests(url: str, for_s: float) -> tuple[list[float], int]:
    """Ask the other workload at a steady rate; return the latencies, and how many failed."""
    taken: list[float] = []
    loop = asyncio.get_running_loop()

    async def ask(session: aiohttp.ClientSession) -> bool:
        asked_s = loop.time()
        try:
            async with session.get(url) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        taken.append((loop.time() - asked_s) * 1000)
        return bool(body["release"]["version"] == "1.0")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
        asked = []
        for _ in range(int(for_s * REQUESTS_PER_S)):
            asked.append(asyncio.create_task(ask(session)))
            await CLOCK.sleep(1 / REQUESTS_PER_S)
        answered = await asyncio.gather(*asked)
    return taken, answered.count(False)


def _changed(outside: Path) -> list[str]:
    there = sorted(path.name for path in outside.iterdir())
    return [] if there == ["kept"] and (outside / "kept").read_text() == "kept" else [str(there)]


def _remains(folder: Path) -> list[str]:
    """Return processes of the attacker, ports that they hold, and folders of its instances."""
    found = []
    for process in machine_processes():
        with suppress(psutil.Error):
            if "hostile.py" in process.cmdline() and _is_below(process, folder):
                found.append(f"process {process.pid} {process.status()}")
    instances = folder / "state" / "surface" / "sites" / ENVIRONMENT / "instances" / HOSTILE.service
    for instance in instances.glob("*"):
        for path in instance.iterdir():
            if path.name not in {"output.log", "output.log.1"}:
                found.append(f"file {path.relative_to(folder)}")
            elif path.stat().st_size > 6 * 2**20:
                found.append(f"{path.stat().st_size} bytes of output")
    return found


def _is_below(process: psutil.Process, folder: Path) -> bool:
    return str(folder) in process.environ().get("HOME", str(folder))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:] or ATTACKS))
