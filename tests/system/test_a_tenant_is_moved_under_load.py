"""A tenant is moved through all models while it is asked: no request fails, no row is lost."""

import io
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from cli.client import Client
from cli.host_process import pause
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from tests.kit.real_system import RealSystem, SteadyClient, real_system
from tests.system.test_a_password_is_rotated_under_load import kill_agent, kill_host
from tests.system.test_data_outlives_what_runs import ENDED, ask, environment, until

pytestmark = [pytest.mark.once, pytest.mark.real, pytest.mark.long(minutes=3)]
LONGEST_S: Final = 10.0
"""A move of one module takes about so long on a quiet machine."""
SERVER: Final = """
import pathlib, secrets, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, folder, own = int(sys.argv[1]), pathlib.Path(sys.argv[2]), secrets.token_hex(8)

class Rows(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        (folder / self.path[1:]).write_text(own)
        self.answer(201, "")

    def do_GET(self):
        rows = sorted(each.name for each in folder.iterdir())
        self.answer(200, " ".join(rows) if self.path == "/rows" else own)

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", port), Rows).serve_forever()
"""


def release(system: RealSystem, client: Client, where: str) -> Any:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        opened.writestr(zipfile.ZipInfo("server.py"), SERVER)
    uploaded = client.upload("/v1/runtime/artifacts", content.getvalue(), "application/zip").body
    component = {
        "moduleId": "module-rows",
        "componentType": "microservice",
        "version": "1",
        "artifactDigest": uploaded["digest"],
        "command": ["python", "server.py", "$PORT", "$RUNTIME_DATA_ROWS"],
        "port": 8080,
        "pathPrefix": "/",
        "replicas": 2,
        "probes": {"readiness": {"path": "/"}},
    }
    body = {
        "environmentId": where,
        "releaseRef": "rows-1",
        "strategy": {"kind": "canary", "steps": [{"weight": 50}, {"weight": 100}]},
        "gate": {"window": "PT1S", "minSamples": 1, "deadline": "PT5S"},
        "components": [component],
    }
    made = client.write("POST", "/v1/runtime/deployments", body).body["deploymentId"]
    return until(system, client, f"/v1/runtime/deployments/{made}", ENDED)


def test_no_request_fails_and_no_row_is_lost_while_a_tenant_is_moved(tmp_path: Path) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    with real_system(tmp_path / "state") as system, closing(system.client()) as client:
        shop = environment(system, client, "shop", "rows")
        where, at = shop["environmentId"], shop["provisioned"][0]["endpoint"]
        assert release(system, client, where)["status"] == "Completed"
        bound = client.write("POST", "/v1/runtime/tenant-bindings", {"environmentId": where}).body
        binding = f"/v1/runtime/tenant-bindings/{bound['bindingId']}"
        until(system, client, binding, {"Enforced"})

        with SteadyClient(at, rate=60) as load:
            system.until(lambda: len(load.served) == 2)
            for number, (model, kill) in enumerate(
                [("pool", kill_agent), ("silo", kill_host), ("shared", kill_host)]
            ):
                assert ask(at, "PUT", f"/row-{number}")[0] == 201
                client.write("POST", f"{binding}/move", {"isolationModel": model})
                # At any point between its first step and its last.
                pause(clock, entropy.fraction() * LONGEST_S)
                kill(system)
                moved = until(system, client, binding, {"Enforced"})
                assert (moved["isolationModel"], moved["reason"]) == (model, None)

        assert load.failed == []
        assert len(load.served) == 2 * 4
        assert ask(at, "GET", "/rows") == (200, b"row-0 row-1 row-2")
