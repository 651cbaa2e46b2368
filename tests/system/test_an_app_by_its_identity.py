"""A packaged app with the settings that `runtimectl cloud settings --app` prints, and nothing else.

It has no key: it reaches everything by https or TLS with the tokens of its managed identity.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from cli.client import Client
from cli.cloud_process import stop_cloud
from cli.failure import Failure
from cli.state_folder import REPOSITORY, StateFolder, state_folder_at
from shared.contracts.events import BUILT, RUNTIME_EVENTS
from shared.contracts.storage import DATABASE
from shared.contracts.values import Service
from shared.kernel.clock import SystemClock
from shared.kernel.ids import environment_id
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.store import Document, Partition
from tests.kit.apps import sampled
from tests.kit.environment_events import SITE, TENANT, provisioned
from tests.kit.host_processes import started
from tests.kit.identity_cloud import IdentityClients
from tests.kit.patience import PATIENCE_S
from tools.package import package

pytestmark = pytest.mark.real
READY: Final = r"functions ready on (http://127.0.0.1:\d+)"


def run(folder: StateFolder, line: str) -> str:
    environ = {**os.environ, "RUNTIMECTL_STATE": str(folder.path)}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *line.split()],
        cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def settings_of(folder: StateFolder, app: str) -> Mapping[str, str]:
    values: dict[str, str] = json.loads(run(folder, f"cloud settings --app {app}"))["Values"]
    return values


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("catalog", tmp_path_factory.mktemp("package") / "catalog")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateFolder]:
    """A local cloud of the command line, in which somebody has logged in."""
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    folder = state_folder_at(tmp_path_factory.mktemp("state"))
    run(folder, "cloud up")
    run(folder, f"login --dev --tenant {TENANT} --user ann --role Runtime.Admin")
    yield folder
    stop_cloud(folder, SystemClock())


def token_of(folder: StateFolder) -> str:
    return str(json.loads(folder.token_file.read_text())["token"])


@pytest.fixture
def clients(cloud: StateFolder, monkeypatch: pytest.MonkeyPatch) -> IdentityClients:
    return IdentityClients(partial(settings_of, cloud), monkeypatch)


async def publish(clients: IdentityClients) -> None:
    async with clients.sender("environments") as sender:
        await sender.send(RUNTIME_EVENTS, [provisioned()])


async def stored(clients: IdentityClients) -> Document:
    """Return the catalog's document about the environment, once it is in the account."""
    async with clients.account("operator") as account, asyncio.timeout(PATIENCE_S):
        store = CosmosStore(account, DATABASE, "catalog")
        while (found := await store.read(Partition(TENANT, SITE), "watch")) is None:
            await SystemClock().sleep(0.1)
        return found


@pytest.mark.long
def test_an_app_runs_with_the_printed_settings_alone(
    cloud: StateFolder, catalog: Path, tmp_path: Path, clients: IdentityClients
) -> None:
    values = settings_of(cloud, "catalog")
    with started(catalog, "--port", "0", state=tmp_path / "host", **values) as host:
        ready = host.read_until(READY)
        asyncio.run(publish(clients))

        document = asyncio.run(stored(clients))
        with closing(Client(ready[1], token_of(cloud))) as client:
            listed = client.get("/v1/runtime/services").body

    assert document.body["environment_id"] == environment_id(SITE)
    assert listed == {"value": [], "nextLink": None}
    assert "Key=" not in json.dumps(values)


@pytest.mark.long
@pytest.mark.parametrize("app", sampled(sorted(BUILT - {Service.CATALOG})))
def test_every_app_has_the_roles_that_it_needs_to_run(
    cloud: StateFolder, tmp_path: Path, app: str
) -> None:
    public_name = Service(app).public_name
    values = settings_of(cloud, public_name)
    folder = package(app, tmp_path / app)
    path = f"/v1/platform/{public_name}/health"
    with started(folder, "--port", "0", state=tmp_path / "host", **values) as host:
        ready = host.read_until(READY)
        give_up_at_s = SystemClock().monotonic_s() + PATIENCE_S
        with closing(Client(ready[1], token_of(cloud))) as client:
            while (health := client.get(path).body)["status"] != "Healthy":
                assert SystemClock().monotonic_s() < give_up_at_s, health
        host.process.terminate()
        assert host.end() == 0

    # Ports have it in the middle of their numbers.
    assert not re.search(r"\b403\b", host.text)
    assert "not the role" not in host.text


@pytest.mark.long
def test_with_the_identity_of_another_app_it_is_unavailable(
    cloud: StateFolder, catalog: Path, tmp_path: Path
) -> None:
    values = settings_of(cloud, "health")
    with started(catalog, "--port", "0", state=tmp_path / "host", **values) as host:
        ready = host.read_until(READY)
        with closing(Client(ready[1], token_of(cloud))) as client, pytest.raises(Failure) as failed:
            client.get("/v1/runtime/services")
        waits = host.read_until(r"catalog_on_runtime_event waits: (.+)")

    assert failed.value.code == "Unavailable"
    assert "this app's identity has not the role" in failed.value.message
    assert "not the role for runtime-events/subscriptions/catalog" in waits[1]
