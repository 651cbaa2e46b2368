"""A file stored in a data folder through the API's own deployments, over all that may end."""

import http.client
import io
import os
import signal
import zipfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.client import Client
from tests.kit.real_system import RealSystem, real_system

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=1)]
SERVER = """
import pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, folder, version = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]

class Uploads(BaseHTTPRequestHandler):
    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        (folder / self.path[1:]).write_bytes(content)
        self.answer(201, b"")

    def do_GET(self):
        file = folder / self.path[1:]
        if self.path == "/version":
            self.answer(200, version.encode())
        elif file.is_file():
            self.answer(200, file.read_bytes())
        else:
            self.answer(404, b"")

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", port), Uploads).serve_forever()
"""
ENDED = {"Completed", "RolledBack", "Failed", "Cancelled"}


def environment(system: RealSystem, client: Client, name: str, *data: str) -> Any:
    made = client.write(
        "POST",
        "/v1/runtime/environments",
        {
            "name": name,
            "projectId": "proj-web",
            "stage": "test",
            "region": "local",
            "computeTargets": [{"kind": "LocalProcess"}],
            "dataResources": [{"kind": "LocalFolder", "name": each} for each in data],
        },
    ).body["environmentId"]
    return until(system, client, f"/v1/runtime/environments/{made}", {"Provisioned"})


def until(system: RealSystem, client: Client, path: str, statuses: set[str]) -> Any:
    def reached() -> Any:
        found = client.get(path).body
        return found if found["status"] in statuses else None

    return system.until(reached, within_s=600)


def release(system: RealSystem, client: Client, where: str, version: str) -> Any:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        opened.writestr(zipfile.ZipInfo("server.py"), SERVER)
    digest = client.upload("/v1/runtime/artifacts", content.getvalue(), "application/zip").body
    component = {
        "moduleId": "module-uploads",
        "componentType": "microservice",
        "version": version,
        "artifactDigest": digest["digest"],
        "command": ["python", "server.py", "$PORT", "$RUNTIME_DATA_UPLOADS", version],
        "port": 8080,
        "pathPrefix": "/",
        "probes": {"readiness": {"path": "/version"}},
    }
    body = {
        "environmentId": where,
        "releaseRef": f"uploads-{version}",
        "strategy": {"kind": "recreate"},
        "gate": {"window": "PT1S", "minSamples": 1, "deadline": "PT5S"},
        "components": [component],
    }
    made = client.write("POST", "/v1/runtime/deployments", body).body["deploymentId"]
    return until(system, client, f"/v1/runtime/deployments/{made}", ENDED)


def ask(url: str, method: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of the application's answer; 0 where nothing answers."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        try:
            connection.request(method, path, content)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""


def kill_workloads(system: RealSystem) -> None:
    for process in system.workloads():
        with suppress(OSError):
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            if b"server.py" in command:
                os.kill(process.pid, signal.SIGKILL)


def test_a_stored_file_is_there_after_all_that_ends_and_goes_with_its_environment(
    tmp_path: Path,
) -> None:
    with real_system(tmp_path / "state") as system, closing(system.client()) as client:
        shop = environment(system, client, "shop", "uploads", "drafts")
        other = environment(system, client, "other", "uploads")
        at = shop["provisioned"][0]["endpoint"]

        def stored() -> bool:
            return ask(at, "GET", "/cat.txt") == (200, b"meow")

        def version() -> bytes:
            return ask(at, "GET", "/version")[1]

        assert release(system, client, shop["environmentId"], "1")["status"] == "Completed"
        assert ask(at, "PUT", "/cat.txt", b"meow")[0] == 201

        kill_workloads(system)
        system.until(stored)

        second = release(system, client, shop["environmentId"], "2")
        assert second["status"] == "Completed", second["reason"]
        assert (version(), stored()) == (b"2", True)

        path = f"/v1/runtime/deployments/{second['deploymentId']}"
        back = client.write("POST", f"{path}/rollback", {}).body["deploymentId"]
        ended = until(system, client, f"/v1/runtime/deployments/{back}", ENDED)
        assert ended["status"] == "Completed", ended["reason"]
        assert (version(), stored()) == (b"1", True)

        system.down()
        system.start()
        system.until(stored)

        assert release(system, client, other["environmentId"], "1")["status"] == "Completed"
        assert ask(other["provisioned"][0]["endpoint"], "GET", "/cat.txt") == (404, b"")

        volumes = tmp_path / "state" / "environments" / "volumes"
        for each, retained in ((shop, {"retain": "uploads"}), (other, {})):
            where = f"/v1/runtime/environments/{each['environmentId']}"
            client.write("DELETE", where, query={"confirm": each["name"], **retained})
            until(system, client, where, {"Decommissioned"})

        assert (volumes / shop["environmentId"] / "uploads" / "cat.txt").read_bytes() == b"meow"
        assert not (volumes / shop["environmentId"] / "drafts").exists()
        assert not (volumes / other["environmentId"] / "uploads").exists()

        again = environment(system, client, "shop", "drafts")
        assert [each["name"] for each in again["retained"]] == ["uploads"]
        assert (volumes / shop["environmentId"] / "uploads" / "cat.txt").read_bytes() == b"meow"
        where = f"/v1/runtime/environments/{shop['environmentId']}"
        content = {"computeTargets": again["computeTargets"], "dataResources": []}
        client.write("PUT", where, {**content, "deleteData": ["uploads", "drafts"]})
        until(system, client, where, {"Provisioned"})
        for name in ("uploads", "drafts"):
            assert not (volumes / shop["environmentId"] / name).exists()
