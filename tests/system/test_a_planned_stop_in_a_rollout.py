"""Everything is stopped in the middle of a canary and started again: the rollout goes on."""

import io
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from tests.kit.real_system import RealSystem, SteadyClient, real_system

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=1)]
ENDED = {"Completed", "RolledBack", "Failed", "Cancelled"}
SERVER = """
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"shop")

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
starts = Path(os.environ["STARTS"])
is_first = not starts.exists()
starts.touch()
time.sleep(1.0 if is_first else float(os.environ["AGAIN_S"]))
Server(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"""


def archive() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr(zipfile.ZipInfo("server.py"), SERVER)
    return target.getvalue()


def provisioned(system: RealSystem, client: Client) -> Any:
    body = {
        "name": "shop", "projectId": "proj-web", "stage": "test", "region": "local",
        "computeTargets": [{"kind": "LocalProcess"}],
        "dataResources": [{"kind": "LocalFolder", "name": "starts"}],
    }  # fmt: skip
    asked = client.write("POST", "/v1/runtime/environments", body).body
    path = f"/v1/runtime/environments/{asked['environmentId']}"

    def ready() -> Any:
        environment = client.get(path).body
        return environment if environment["status"] == "Provisioned" else None

    return system.until(ready)


def deploy(client: Client, environment: str, name: str, again_s: float) -> str:
    """Ask for release *name*, whose start takes 1 s at first and *again_s* from then on."""
    upload = client.upload("/v1/runtime/artifacts", archive(), "application/zip")
    component = {
        "moduleId": "module-shop", "componentType": "microservice", "version": name,
        "artifactDigest": upload.body["digest"], "command": ["python", "server.py", "$PORT"],
        "port": 8080, "pathPrefix": "/", "replicas": 1,
        "environ": {"STARTS": f"$RUNTIME_DATA_STARTS/{name}", "AGAIN_S": str(again_s)},
        "probes": {"readiness": {"path": "/", "period": "PT0.5S"}},
    }  # fmt: skip
    body = {
        "environmentId": environment,
        "releaseRef": name,
        "strategy": {"kind": "canary", "steps": [{"weight": 30}, {"weight": 100}]},
        "gate": {"window": "PT3S", "minSamples": 20, "deadline": "PT20S"},
        "components": [component],
    }
    answer = client.write("POST", "/v1/runtime/deployments", body).body
    return f"/v1/runtime/deployments/{answer['deploymentId']}"


def until_ended(system: RealSystem, client: Client, path: str) -> Any:
    def ended() -> Any:
        deployment = client.get(path).body
        return deployment if deployment["status"] in ENDED else None

    return system.until(ended, within_s=600)


@pytest.mark.parametrize(
    ("again_s", "status", "verdicts"),
    [
        pytest.param(4.0, "Completed", ["Pass", "Pass"], id="instances-that-start-slowly"),
        pytest.param(
            3600.0,
            "RolledBack",
            ["Fail", None],
            marks=pytest.mark.sweep,
            id="a-candidate-that-never-comes-back",
        ),
    ],
)
def test_a_rollout_goes_on_after_a_planned_stop(
    tmp_path: Path, again_s: float, status: str, verdicts: list[str | None]
) -> None:
    with real_system(tmp_path / "state") as system, closing(system.client()) as client:
        environment = provisioned(system, client)
        site, endpoint = environment["environmentId"], environment["provisioned"][0]["endpoint"]
        first = deploy(client, site, "r1", 4.0)
        assert until_ended(system, client, first)["status"] == "Completed"
        with SteadyClient(endpoint, rate=20):
            second = deploy(client, site, "r2", again_s)
            system.until(lambda: client.get(second).body["status"] == "HealthGating")
            system.down()
            system.start()
            system.until_ready()
            deployment = until_ended(system, client, second)

    assert deployment["status"] == status, deployment["reason"]
    steps = deployment["steps"]
    assert [step.get("verdict") for step in steps] == verdicts
    assert not any(step.get("marked") for step in steps)
