"""SIGKILL, for real: the host dies at random instants while releases go out and clients ask on."""

import asyncio
import io
import json
import threading
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from local_cloud.storage import LocalStorage
from shared.contracts.events import BUILT
from shared.kernel.clock import SystemClock
from shared.messaging.outbox import OUTBOX_TYPE
from tests.kit.parameters import unless_whole
from tests.kit.real_system import RealSystem, SteadyClient, real_system
from tests.kit.seeded_entropy import SeededEntropy

pytestmark = [pytest.mark.once, pytest.mark.real, pytest.mark.long(minutes=1)]
SEED = 2026
KILLS = unless_whole(10) or 20
REPLICAS, PROXIES, AGENTS = 2, 1, 1
ENDED = {"Completed", "RolledBack", "Failed", "Cancelled"}
SERVICES = sorted(BUILT)
SERVER = """
import json, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

release = json.load(open("release.json"))

class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(release["late_s"] if self.path == "/" else 0)
        said = (release["name"] if self.path == "/" else json.dumps(release)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
Server(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"""
GOOD, SLOW = "good", "slow"
CYCLE = (SLOW, GOOD)
GATE = {"window": "PT1S", "minSamples": 20, "deadline": "PT60S"}
STEPS = [{"weight": 30}, {"weight": 100}]


def archive(name: str, kind: str) -> bytes:
    told = {"name": name, "late_s": 1.0 if kind == SLOW else 0.0}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr(zipfile.ZipInfo("server.py"), SERVER)
        opened.writestr(zipfile.ZipInfo("release.json"), json.dumps(told))
    return target.getvalue()


def release(system: RealSystem, client: Client, environment: str, name: str, kind: str) -> Any:
    """Have *name* deployed, over as many deaths of the host as come; return how it ended."""
    digest = system.until(
        lambda: client.upload("/v1/runtime/artifacts", archive(name, kind), "application/zip").body
    )["digest"]
    body = {
        "environmentId": environment,
        "releaseRef": name,
        "strategy": {"kind": "canary", "steps": STEPS},
        "gate": GATE,
        "components": [
            {
                "moduleId": "module-shop",
                "componentType": "microservice",
                "version": name,
                "artifactDigest": digest,
                "command": ["python", "server.py", "$PORT"],
                "port": 8080,
                "pathPrefix": "/",
                "replicas": REPLICAS,
                "release": {"path": "/release", "field": "name"},
                "probes": {"readiness": {"path": "/ready", "period": "PT0.5S"}},
            }
        ],
    }
    # The natural key makes a second POST the first one's deployment.
    deployment = system.until(lambda: client.write("POST", "/v1/runtime/deployments", body).body)
    path = f"/v1/runtime/deployments/{deployment['deploymentId']}"

    def ended() -> Any:
        found = client.get(path).body
        return found if found["status"] in ENDED else None

    return system.until(ended, within_s=600)


class Killer:
    """Kills and restarts the host at random until so many times, or told to stop."""

    def __init__(self, system: RealSystem) -> None:
        self._system = system
        self._entropy = SeededEntropy(SEED)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.kills = 0
        self.lost: list[str] = []
        """Workload processes that ended while no host ran."""
        self.problem: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for _ in range(KILLS):
                threading.Event().wait(0.2 + 5.0 * self._entropy.fraction())
                self.strike()
        except BaseException as problem:  # noqa: BLE001  told to the test, which fails
            self.problem = problem

    def strike(self) -> None:
        before = self._system.kill()
        gone = before - self._system.workloads()
        self._system.start()
        self.lost += [str(each) for each in gone]
        self.kills += 1


def test_nothing_is_lost_when_the_host_is_killed_at_random_instants(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with real_system(state) as system, closing(system.client()) as client:
        environment = provisioned(system, client)
        site = environment["environmentId"]
        release(system, client, site, "r0", GOOD)
        killer = Killer(system)
        endings: list[tuple[str, str]] = []

        with SteadyClient(
            environment["provisioned"][0]["endpoint"], rate=50, threads=16
        ) as traffic:
            killer.start()
            while not killer.is_done or len(endings) < len(CYCLE):
                kind = CYCLE[len(endings) % len(CYCLE)]
                found = release(system, client, site, f"r{len(endings) + 1}", kind)
                endings.append((kind, found["status"]))
            system.until(lambda: len(system.workloads()) == REPLICAS + PROXIES)
            before = system.kill()
            system.start()
            system.until_ready()

        assert killer.problem is None
        assert (killer.kills, killer.lost) == (KILLS, [])
        assert set(endings) == {(GOOD, "Completed"), (SLOW, "RolledBack")}
        assert traffic.failed == []
        assert sum(traffic.served.values()) > 20 * KILLS
        assert system.workloads() == before
        for app in (each.public_name for each in SERVICES):
            verdict = client.get(f"/v1/platform/{app}/audit-verification").body
            assert (verdict["status"], verdict["brokenAt"]) == ("Sound", None)
            assert client.get(f"/v1/platform/{app}/parked").body["value"] == []
        assert system.stop() == 0
        assert len(system.strangers()) == len(before) + AGENTS, system.strangers()
        # What a stop cuts off is relayed by the next host.
        left = set(asyncio.run(outbox(state)))
        system.start()
        system.until_ready()
        system.until(lambda: not left & set(asyncio.run(outbox(state))))
        assert system.stop() == 0

    assert system.strangers() == []


async def outbox(state: Path) -> list[str]:
    """Return the ids of the rows that no relay has sent."""
    storage = LocalStorage(state, SystemClock(), in_memory=False)
    found: list[str] = []
    for name in SERVICES:
        store = storage.store("runtime", name.value)
        for feed_range in await store.feed_ranges():
            continuation = None
            while (page := await store.changes(feed_range, continuation)).documents:
                rows = page.documents
                found += [f"{name} {row.id}" for row in rows if row.body["type"] == OUTBOX_TYPE]
                continuation = page.continuation
    storage.close()
    return found


def provisioned(system: RealSystem, client: Client) -> Any:
    body = {
        "name": "shop",
        "projectId": "proj-web",
        "stage": "test",
        "region": "local",
        "computeTargets": [{"kind": "LocalProcess"}],
    }
    asked = client.write("POST", "/v1/runtime/environments", body).body
    path = f"/v1/runtime/environments/{asked['environmentId']}"

    def ready() -> Any:
        found = client.get(path).body
        return found if found["status"] == "Provisioned" else None

    return system.until(ready)
