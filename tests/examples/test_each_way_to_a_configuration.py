"""Each example reads the configuration as the platform gives it: variables, files, the route."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import Any, Final

import pytest

from benchmarks.memory_app import folder_in
from cli.client import Client
from function_apps.deployments.model.configuration import to_surface
from shared.contracts.configuration_merge import hash_of
from shared.contracts.releases import ConfigurationPin
from shared.contracts.values import ConfigurationDelivery
from shared.surfaces.configuration import ConfigurationTexts
from tests.kit.patience import PATIENCE_S
from tests.kit.real_system import RealSystem, real_system

pytestmark = pytest.mark.real
FOLDER: Final = Path(__file__).parents[2] / "examples" / "configuration"
GREETING: Final = 'hello "you", it\'s $HOME `now` \\ #1'
VALUES: Final[Mapping[str, Any]] = {
    "shop.greeting": GREETING, "limits": {"items": 20}, "db.password": {"secret": "db-password"},
}  # fmt: skip
SAID: Final = f"{GREETING}, at most 20\n"
MODULE: Final = "module-shop"


def ran(*command: str, **variables: str) -> str:
    """Return what *command* printed, run as the platform runs a workload."""
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True,
        check=True, timeout=PATIENCE_S, cwd=FOLDER,
    ).stdout  # fmt: skip


def given(delivery: ConfigurationDelivery) -> ConfigurationTexts:
    """Return what deployments gives an instance of VALUES in one way."""
    made = to_surface(ConfigurationPin(hash=hash_of(VALUES)), VALUES, [delivery])
    assert made is not None
    assert made.texts is not None
    return made.texts


def folder_with(texts: ConfigurationTexts, folder: Path) -> str:
    for name, text in texts.files.items():
        (folder / name).write_text(text)
    return str(folder)


def test_variables_have_text_as_it_is_and_the_rest_as_json() -> None:
    texts = given(ConfigurationDelivery.VARIABLES)

    assert texts.variables.keys() == {"shop_greeting", "limits"}
    assert ran(sys.executable, "by_variables.py", **texts.variables) == SAID


def test_the_json_file_has_all_values(tmp_path: Path) -> None:
    folder = folder_with(given(ConfigurationDelivery.JSON), tmp_path)

    assert ran(sys.executable, "by_json_file.py", RUNTIME_CONFIGURATION=folder) == SAID


def test_dotenv_becomes_the_variables_of_a_program(tmp_path: Path) -> None:
    folder = folder_with(given(ConfigurationDelivery.DOTENV), tmp_path)

    said = ran(
        "/bin/sh", "by_dotenv.sh", sys.executable, "by_variables.py", RUNTIME_CONFIGURATION=folder
    )

    assert said == SAID


def published(client: Client, environment: str, greeting: str, expected: int) -> None:
    flag = {"type": "boolean", "default": False, "rules": [{"tenants": ["acme"], "value": True}]}
    client.write(
        "POST",
        "/v1/runtime/configurations",
        {
            "scope": {"layer": "module", "environmentId": environment, "moduleId": MODULE},
            "values": {"shop.greeting": greeting, "checkout": {"flag": flag}},
            "expectedVersion": expected,
        },
    )


def provisioned(client: Client) -> str:
    """Have an environment that configurations has heard of; return its id."""
    body = {
        "name": "shop", "projectId": "proj-web", "stage": "test", "region": "local",
        "computeTargets": [{"kind": "LocalProcess"}],
    }  # fmt: skip
    response = client.write("POST", "/v1/runtime/environments", body)
    etag = None
    while True:
        path = f"/v1/runtime/operations/{response.operation}"
        operation = client.get(path, {"wait": "20"}, etag=etag)
        etag = operation.etag or etag
        if not operation.is_unchanged and operation.body["status"] == "Succeeded":
            return str(response.body["environmentId"])


def followed(system: RealSystem, client: Client, folder: Path) -> None:
    environment = provisioned(client)
    published(client, environment, "hello", 0)
    (folder / "token").write_text(system.workload_token("acme", environment, MODULE))
    told: Queue[str] = Queue()
    line = [sys.executable, "by_route.py"]
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "no_proxy": "127.0.0.1",
        "RUNTIME_API_URL": system.url, "RUNTIME_API_TOKEN_FILE": str(folder / "token"),
        "RUNTIME_ENVIRONMENT_ID": environment, "RUNTIME_MODULE_ID": MODULE,
        "RUNTIME_INSTANCE_ID": "web-0",
    }  # fmt: skip
    with subprocess.Popen(
        line, env=environ, cwd=FOLDER, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout)
            reader = threading.Thread(target=lambda: [told.put(each) for each in lines])
            reader.start()
            assert told.get(timeout=PATIENCE_S) == "hello, checkout True\n"

            published(client, environment, "good bye", 1)

            assert told.get(timeout=PATIENCE_S) == "good bye, checkout True\n"
        finally:
            process.kill()
            reader.join()
    kept = json.loads((folder / "configuration.kept").read_text())
    assert kept["values"]["shop.greeting"] == "good bye"


@pytest.mark.long
def test_the_route_is_followed_while_the_program_runs(tmp_path: Path) -> None:
    with (
        real_system(tmp_path / "state", folder_in(tmp_path)) as system,
        closing(system.client("acme")) as client,
    ):
        followed(system, client, tmp_path)
