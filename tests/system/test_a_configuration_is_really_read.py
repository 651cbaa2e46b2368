"""Processes of this machine read what was published, and go back to it with their release."""

import http.client
import io
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.client import Client
from tests.kit.real_system import RealSystem, real_system

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=2)]
SERVER = """
import json, os, pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = pathlib.Path(os.environ["RUNTIME_CONFIGURATION"])
values = json.loads((folder / "configuration.json").read_text())
lines = (folder / "configuration.env").read_text().splitlines()
if values["greeting"] == "crash":
    sys.exit("cannot work with this configuration")
said = f"{sys.argv[1]} {values['greeting']} {os.environ['db_port']} {lines[0]}"

class Greeting(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Greeting).serve_forever()
"""
ENDED = {"Completed", "RolledBack", "Failed", "Cancelled"}
MODULE = "module-greeting"


class Greetings:
    """A system with an environment, and what its user does with a release of *files*."""

    def __init__(
        self, system: RealSystem, client: Client, files: Mapping[str, str] | None = None
    ) -> None:
        self.system, self.client = system, client
        body = {
            "name": "shop",
            "projectId": "proj-web",
            "stage": "test",
            "region": "local",
            "computeTargets": [{"kind": "LocalProcess"}],
        }
        made = client.write("POST", "/v1/runtime/environments", body).body["environmentId"]
        shop = self.until(f"/v1/runtime/environments/{made}", {"Provisioned"})
        self.environment, self.address = made, shop["provisioned"][0]["endpoint"]
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as opened:
            for name, text in (files or {"server.py": SERVER}).items():
                opened.writestr(zipfile.ZipInfo(name), text)
        archive = client.upload("/v1/runtime/artifacts", content.getvalue(), "application/zip")
        self.digest = archive.body["digest"]
        self.version = 0

    def until(self, path: str, statuses: set[str]) -> Any:
        def reached() -> Any:
            found = self.client.get(path).body
            return found if found["status"] in statuses else None

        return self.system.until(reached, within_s=600)

    def publish(self, greeting: str) -> None:
        """Publish the module's layer, and wait until a release would be given it."""
        scope = {"layer": "module", "environmentId": self.environment, "moduleId": MODULE}
        values = {"greeting": greeting, "db.port": 5432}
        body = {"scope": scope, "values": values, "expectedVersion": self.version}
        self.client.write("POST", "/v1/runtime/configurations", body)
        self.version += 1
        self.system.until(self.is_recorded)

    def is_recorded(self) -> bool:
        body = {**self.release("plan"), "dryRun": True}
        plan = self.client.write("POST", "/v1/runtime/deployments", body).body
        return bool(plan["components"][0]["configuration"]["module"] == self.version)

    def release(self, version: str, **more: Any) -> dict[str, Any]:
        component = {
            "moduleId": MODULE,
            "componentType": "microservice",
            "version": version,
            "artifactDigest": self.digest,
            "command": ["python", "server.py", version],
            "port": 8080,
            "pathPrefix": "/",
            "configurationDelivery": ["json", "dotenv", "variables"],
            "probes": {"readiness": {"path": "/"}},
            **more,
        }
        return {
            "environmentId": self.environment,
            "releaseRef": f"greeting-{version}",
            "gate": {"window": "PT1S", "minSamples": 1, "deadline": "PT5S"},
            "strategy": {"kind": "canary", "steps": [{"weight": 100}]},
            "components": [component],
        }

    def deploy(self, version: str, **more: Any) -> Any:
        body = self.release(version, **more)
        made = self.client.write("POST", "/v1/runtime/deployments", body).body["deploymentId"]
        return self.until(f"/v1/runtime/deployments/{made}", ENDED)

    def rolled_out(self, number: int) -> Any:
        """Return the *number*th roll-out, once it has ended."""

        def ended() -> Any:
            listed = self.client.get("/v1/runtime/deployments").body["value"]
            found = [each for each in listed if each["kind"] == "configuration"]
            is_there = len(found) >= number and found[0]["status"] in ENDED
            return found[0] if is_there else None

        return self.system.until(ended, within_s=600)

    def said(self) -> str:
        where = urlsplit(self.address).netloc
        with closing(http.client.HTTPConnection(where, timeout=30)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()


def hashes(deployment: Any) -> set[str]:
    return {each["configurationHash"] for each in deployment["proof"]["instances"]}


def test_a_process_reads_its_configuration_and_a_bad_one_goes_back_with_its_image(
    tmp_path: Path,
) -> None:
    with real_system(tmp_path / "state") as system, closing(system.client()) as client:
        shop = Greetings(system, client)
        shop.publish("hello")
        first = shop.deploy("1", configurationMode="floating")
        assert first["status"] == "Completed", first["reason"]
        assert shop.said() == "1 hello 5432 db_port=5432"

        shop.publish("hi")
        rolled_out = shop.rolled_out(1)
        assert rolled_out["status"] == "Completed", rolled_out["reason"]
        assert shop.said() == "1 hi 5432 db_port=5432"
        assert hashes(rolled_out) == {rolled_out["configuration"]["hash"]} != hashes(first)

        shop.publish("crash")
        refused = shop.rolled_out(2)
        assert (refused["status"], refused["reason"]["code"]) == ("RolledBack", "StartFailed")
        assert "cannot work with this configuration" in refused["reason"]["message"]
        assert hashes(refused) == hashes(rolled_out)

        bad = shop.deploy("2")
        assert bad["status"] == "RolledBack", bad["reason"]
        assert bad["proof"]["whole"]
        assert hashes(bad) == hashes(rolled_out)
        assert shop.said() == "1 hi 5432 db_port=5432"

        shop.publish("hello again")
        assert shop.rolled_out(3)["status"] == "Completed"
        second = shop.deploy("2")
        assert second["status"] == "Completed", second["reason"]
        assert shop.said() == "2 hello again 5432 db_port=5432"
