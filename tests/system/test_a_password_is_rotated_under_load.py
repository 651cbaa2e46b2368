"""A rotation of a real password: each request is a query, none fails, the old one is refused."""

import asyncio
import io
import json
import os
import signal
import zipfile
from contextlib import closing, suppress
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import pytest

from cli.client import Client
from cli.host_process import pause
from local_agent.capabilities import capabilities
from local_agent.process_identity import environ_of
from local_cloud.vault.vault import Vaults
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import EnvironmentId, parse_id
from shared.passwords.port import PasswordRefused, PasswordResource
from shared.passwords.servers import ServerPasswords, administrators_in
from shared.surfaces.capabilities import Feature
from shared.surfaces.local_process import read_record
from shared.vault.port import SecretValue
from tests.kit.data_servers import require_programs
from tests.kit.environment_vaults import local_vaults
from tests.kit.machine_processes import workloads_below
from tests.kit.real_system import (
    REPOSITORY,
    RealSystem,
    SteadyClient,
    bound_secret,
    real_system,
)
from tests.system.test_data_outlives_what_runs import ENDED, until

pytestmark = [
    pytest.mark.once,
    pytest.mark.real,
    pytest.mark.long(minutes=4),
    pytest.mark.skipif(
        not capabilities().supports(Feature.SECRET_REFERENCES),
        reason="this machine gives instances no memory of their own",
    ),
]
MODULE: Final = "module-orders"
ROTATIONS: Final = int(os.environ.get("ROTATIONS", "5"))
"""With `make rotations` a hundred, which takes an hour."""
LONGEST_S: Final = 20.0
"""A rotation takes about so long on a quiet machine."""
PACKAGES: Final = (
    "aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "idna", "multidict",
    "propcache", "yarl", "asyncpg", "typing_extensions",
)  # fmt: skip
"""What the example needs, as they are installed here: the test asks no package index."""


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        opened.write(REPOSITORY / "examples/orders/service/orders.py", "orders.py")
        for name in PACKAGES:
            for file in distribution(name).files or ():
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    opened.write(str(file.locate()), str(file))
    return content.getvalue()


def environment(system: RealSystem, client: Client) -> Any:
    body = {
        "name": "shop",
        "projectId": "proj-web",
        "stage": "test",
        "region": "local",
        "computeTargets": [{"kind": "LocalProcess"}],
        "dataResources": [{"kind": "LocalPostgres", "name": "orders-db"}],
    }
    made = client.write("POST", "/v1/runtime/environments", body).body["environmentId"]
    return until(system, client, f"/v1/runtime/environments/{made}", {"Provisioned"})


def bind(system: RealSystem, client: Client, where: str) -> str:
    body = {
        "environmentId": where,
        "moduleId": MODULE,
        "secretName": "orders-db",
        "delivery": "file",
        "target": "orders-db",
        "generator": {
            "kind": "databasePassword",
            "settings": {"resource": "orders-db", "user": "orders"},
        },
    }
    made = bound_secret(system, client, body)
    until(system, client, f"/v1/runtime/secret-bindings/{made}", {"Bound"})
    return made


def release(system: RealSystem, client: Client, where: str) -> Any:
    uploaded = client.upload("/v1/runtime/artifacts", archive(), "application/zip").body
    component = {
        "moduleId": MODULE,
        "componentType": "microservice",
        "version": "1.0.0",
        "artifactDigest": uploaded["digest"],
        "command": ["python", "orders.py"],
        "port": 8080,
        "pathPrefix": "/",
        "replicas": 2,
        "probes": {"readiness": {"path": "/"}},
    }
    body = {
        "environmentId": where,
        "releaseRef": "orders-1.0.0",
        "strategy": {"kind": "canary", "steps": [{"weight": 50}, {"weight": 100}]},
        "gate": {"window": "PT1S", "minSamples": 1, "deadline": "PT5S"},
        "components": [component],
    }
    made = client.write("POST", "/v1/runtime/deployments", body).body["deploymentId"]
    return until(system, client, f"/v1/runtime/deployments/{made}", ENDED)


async def current(state: Path, where: str) -> SecretValue:
    vault = Vaults(state / "vaults", SystemClock(), SystemEntropy()).open(
        parse_id(where, "env").environment
    )
    try:
        return (await vault.get("orders-db")).value
    finally:
        vault.close()


async def is_refused(state: Path, where: str, value: SecretValue) -> bool:
    vaults = local_vaults(state)
    passwords = ServerPasswords(administrators_in(vaults), SystemEntropy())
    try:
        await passwords.test(PasswordResource(EnvironmentId(where), "orders-db"), value)
    except PasswordRefused:
        return True
    finally:
        vaults.close()
    return False


def logins(client: SteadyClient) -> set[str]:
    return {json.loads(said)["login"] for said in list(client.served)}


def rotate(system: RealSystem, client: Client, binding: str) -> str:
    path = f"/v1/runtime/secret-bindings/{binding}/rotate"
    order = {"overlap": "PT1S", "reason": "a test"}
    rotation = client.write("POST", path, order).body["rotationId"]
    return f"/v1/runtime/secret-rotations/{rotation}"


def kill_agent(system: RealSystem) -> None:
    """The next one takes over what this one ran."""
    record = read_record(system.state)
    if record is not None:
        with suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGKILL)


def kill_host(system: RealSystem) -> None:
    system.kill()
    system.start()
    system.until_ready()


def kill_workload(system: RealSystem) -> None:
    """One instance, whose requests the proxy gives to the other."""
    of_module = [
        pid
        for pid in sorted(workloads_below(system.state))
        if environ_of(pid).get("RUNTIME_MODULE_ID") == MODULE
    ]
    if of_module:
        with suppress(ProcessLookupError):
            os.kill(of_module[0], signal.SIGKILL)


KILLS: Final = (kill_agent, kill_host, kill_workload)


def test_no_request_fails_and_each_old_password_is_refused(tmp_path: Path) -> None:
    require_programs("LocalPostgres")
    state, clock, entropy = tmp_path / "state", SystemClock(), SystemEntropy()
    with real_system(state) as system, closing(system.client()) as client:
        shop = environment(system, client)
        where, at = shop["environmentId"], shop["provisioned"][0]["endpoint"]
        binding = bind(system, client, where)
        assert release(system, client, where)["status"] == "Completed"
        values = [asyncio.run(current(state, where))]

        with SteadyClient(at, rate=60) as load:
            system.until(lambda: logins(load))
            for number in range(ROTATIONS):
                rotation = rotate(system, client, binding)
                # At any point between the new version and the end of the old one.
                pause(clock, entropy.fraction() * LONGEST_S)
                KILLS[number % len(KILLS)](system)
                ended = until(system, client, rotation, {"Revoked", "Failed"})
                assert ended["status"] == "Revoked", ended
                values.append(asyncio.run(current(state, where)))

        assert load.failed == []
        assert len(logins(load)) == len(values)
        refused = [asyncio.run(is_refused(state, where, value)) for value in values]
        assert refused == [*[True] * ROTATIONS, False]
