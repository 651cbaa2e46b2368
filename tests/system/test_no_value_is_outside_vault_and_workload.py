"""Values of secrets are in the vault, sealed, and in the workload: searched for everywhere else."""

import asyncio
import hashlib
import io
import json
import os
import signal
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from cli.client import Client
from local_agent.capabilities import capabilities
from local_agent.process_trees import workload_processes
from local_cloud.vault.vault import Vaults
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import parse_id
from shared.surfaces.capabilities import Feature
from shared.surfaces.local_process import read_record
from shared.vault.port import SecretValue
from tests.kit.canary_values import CanaryValues, core_limit, cores
from tests.kit.real_system import REPOSITORY, RealSystem, bound_secret, real_system
from tests.system.test_data_outlives_what_runs import ENDED, ask, environment, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.long(minutes=2),
    pytest.mark.skipif(
        not capabilities().supports(Feature.SECRET_REFERENCES),
        reason="this machine gives instances no memory of their own",
    ),
]
MODULE: Final = "module-shop"
HAND_MADE: Final = "https://mail-provider.vault.localhost"
IN_CLEAR: Final = "canary-that-a-release-says-in-clear"
SERVER: Final = """
import hashlib, json, os, pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Digests(BaseHTTPRequestHandler):
    def do_GET(self):
        values = {"DB_PASSWORD": os.environ["DB_PASSWORD"]}
        for path in pathlib.Path(os.environ["RUNTIME_SECRETS"]).iterdir():
            values[path.name] = path.read_text()
        texts = {name: text.encode() for name, text in values.items()}
        digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
        body = json.dumps(digests).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("started", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Digests).serve_forever()
"""
BINDINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "db": {
        "generator": {"kind": "random"},
        "delivery": "environmentVariable",
        "target": "DB_PASSWORD",
    },
    "signing": {"generator": {"kind": "keyPair"}, "delivery": "file", "target": "signing.pem"},
    "mail": {"external": True, "vaultUri": HAND_MADE, "delivery": "file", "target": "mail-key"},
}


async def hand_made(state: Path) -> None:
    """Put a value into a vault as its owner does."""
    vault = Vaults(state / "vaults", SystemClock(), SystemEntropy()).open("mail-provider")
    await vault.set("mail", SecretValue("k3y-of-the-mail-provider-A1b2C3d4E5f6"))
    vault.close()


async def values(state: Path, key: str) -> dict[str, str]:
    """Return what the vaults have, by the place in the workload."""
    found = {}
    for vault_name, names in {key: ("db", "signing"), "mail-provider": ("mail",)}.items():
        vault = Vaults(state / "vaults", SystemClock(), SystemEntropy()).open(vault_name)
        for name in names:
            secret = await vault.get(name)
            found[str(BINDINGS[name]["target"])] = secret.value.reveal()
        vault.close()
    return found


def digests(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def bind(system: RealSystem, client: Client, where: str) -> dict[str, str]:
    """Bind all secrets, and return the ids of their bindings."""
    bound = {}
    for name, changes in BINDINGS.items():
        body = {"environmentId": where, "moduleId": MODULE, "secretName": name, **changes}
        made = bound_secret(system, client, body)
        until(system, client, f"/v1/runtime/secret-bindings/{made}", {"Bound"})
        bound[name] = made
    return bound


def rotate(system: RealSystem, client: Client, binding: str) -> None:
    """Rotate the secret of *binding* to its last consumer; the host is killed on the way."""
    order = {"overlap": "PT0S", "reason": "drill"}
    made = client.write("POST", f"/v1/runtime/secret-bindings/{binding}/rotate", order).body
    system.kill()
    system.start()
    system.until_ready()
    path = f"/v1/runtime/secret-rotations/{made['rotationId']}"
    assert until(system, client, path, {"Revoked", "Failed"})["status"] == "Revoked"


def release(system: RealSystem, client: Client, where: str) -> Any:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        opened.writestr(zipfile.ZipInfo("server.py"), SERVER)
    digest = client.upload("/v1/runtime/artifacts", content.getvalue(), "application/zip").body
    component = {
        "moduleId": MODULE,
        "componentType": "microservice",
        "version": "1",
        "artifactDigest": digest["digest"],
        "command": ["python", "server.py"],
        "environ": {"IN_CLEAR": IN_CLEAR},
        "port": 8080,
        "pathPrefix": "/",
        "probes": {"readiness": {"path": "/"}},
    }
    body = {
        "environmentId": where,
        "releaseRef": "shop-1",
        "strategy": {"kind": "recreate"},
        "gate": {"window": "PT1S", "minSamples": 1, "deadline": "PT5S"},
        "components": [component],
    }
    made = client.write("POST", "/v1/runtime/deployments", body).body["deploymentId"]
    return until(system, client, f"/v1/runtime/deployments/{made}", ENDED)


def answers(client: Client) -> bytes:
    """Return what the API says of everything that it lists."""
    names = ["environments", "deployments", "secret-bindings", "services", "configurations"]
    services = client.get("/v1/runtime/services").body["value"]
    names += [f"services/{each['serviceId']}/live" for each in services]
    return json.dumps([client.get(f"/v1/runtime/{name}").body for name in names]).encode()


def workload_pids(system: RealSystem) -> set[int]:
    """Return the processes inside of sandboxes."""
    shims = [each for each in system.workloads() if each.is_shim]
    return {pid for each in shims for pid in workload_processes(each)}


def end_all(system: RealSystem) -> None:
    """End workload, agent and host, these by signals that leave a core where one may be left."""
    for pid in workload_pids(system):
        os.kill(pid, signal.SIGKILL)
    record = read_record(system.state)
    assert record is not None
    for pid in (record.pid, system.pid):
        assert core_limit(pid) in {0, 1}
        os.kill(pid, signal.SIGABRT)
    system.kill()


def test_no_value_is_outside_vault_and_workload(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with real_system(state) as system, closing(system.client()) as client:
        shop = environment(system, client, "shop")
        where, at = shop["environmentId"], shop["provisioned"][0]["endpoint"]
        asyncio.run(hand_made(state))
        bound = bind(system, client, where)
        key = parse_id(where, "env").environment

        def serves() -> dict[str, str]:
            """Return the values of the vaults, if the workload has them."""
            current = asyncio.run(values(state, key))
            status, body = ask(at, "GET", "/")
            has = json.loads(body) if status == 200 else {}
            return current if has == digests(current) else {}

        assert release(system, client, where)["status"] == "Completed"
        before = serves()
        assert before
        end_all(system)
        system.start()
        system.until_ready()
        system.until(serves)
        rotate(system, client, bound["db"])
        after = system.until(serves)
        assert after["DB_PASSWORD"] != before["DB_PASSWORD"]

        said = answers(client)
        inside = workload_pids(system)
        secret, clear = (
            CanaryValues.of(*before.values(), *after.values()),
            CanaryValues.of(IN_CLEAR),
        )

        # What a release says in clear is found in files, answers and processes: so are others.
        assert [*clear.files(state)]
        assert clear.are_in(said)
        assert {f"/proc/{pid}/environ" for pid in inside} <= {*clear.processes(but=())}
        assert {*secret.processes(but=())} == {f"/proc/{pid}/environ" for pid in inside}
        assert [*secret.files(state)] == []
        assert not secret.are_in(said)
        assert [*secret.files(Path("/dev/shm"))] == []
        assert all(core_limit(each.pid) in {0, 1} for each in system.workloads() if each.is_shim)
        assert cores(REPOSITORY) == cores(state) == []
