"""One public port per environment: by path prefix, by host name, by service id; always."""

import asyncio
import os
import signal
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from local_agent.process_identity import start_ticks
from shared.kernel.ids import ModuleId, TenantId
from shared.kernel.observation import Present
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.spec import SurfaceComponent
from tests.kit.machine_processes import with_argument
from tests.kit.patience import PATIENCE_S
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, SurfaceHarness, fence
from tests.surfaces.local_process_harness import local_process_harness

pytestmark = pytest.mark.real
ORDERS = SurfaceComponent(ENVIRONMENT, SHOP.tenant, ModuleId("module-orders"))
INNER = SurfaceComponent(ENVIRONMENT, SHOP.tenant, ModuleId("module-inner"))
SILENT = SurfaceComponent(ENVIRONMENT, SHOP.tenant, ModuleId("module-silent"))


async def _answer(
    harness: SurfaceHarness, path: str, headers: Mapping[str, str] | None = None
) -> Any:
    site = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(site, Present)
    url = f"{site.value.endpoint.rstrip('/')}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        if answer.status != 200:
            return answer.status
        body = await answer.json(content_type=None)
        return body["environ"]["RUNTIME_MODULE_ID"]


def _proxy_of(edge: Path) -> psutil.Process:
    (proxy,) = with_argument(str(edge / "boot.json"))
    return proxy


@pytest.mark.long
async def test_a_request_finds_its_component(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        for component, prefix in ((ORDERS, "/orders"), (INNER, None)):
            spec = harness.spec(1, component=component, path_prefix=prefix)
            await harness.serve(spec, weights={1: 100})
        await harness.serve(harness.spec(1, component=SILENT, path_prefix="/silent"))
        host = {"Host": "module-inner.acme.localhost"}

        assert await _answer(harness, "/") == "module-shop"
        assert await _answer(harness, "/orders") == "module-orders"
        assert await _answer(harness, "/orders/7?x=1") == "module-orders"
        assert await _answer(harness, "/ordersheet") == "module-shop"
        assert await _answer(harness, "/", host) == "module-inner"
        assert await _answer(harness, "/orders", {"x-service": INNER.service}) == "module-inner"
        assert await _answer(harness, "/silent") == 503
        reading = await harness.surface.observe(INNER)
        assert isinstance(reading, Present)
        assert (reading.value.endpoint or "").startswith("http://module-inner.acme.localhost:")


async def test_a_prefix_of_another_tenant_from_before_leads_to_nothing(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        await harness.surface.ensure_site(replace(SITE, tenant=TenantId("globex")), fence(2))
        await harness.surface.set_weights(SHOP, {1: 100}, fence(2))

        async with asyncio.timeout(PATIENCE_S):
            while await _answer(harness, "/") == "module-shop":
                await harness.clock.sleep(0.05)

        assert await _answer(harness, "/") == 404
        host = {"Host": "module-shop.acme.localhost"}
        assert await _answer(harness, "/", host) == "module-shop"


async def test_a_host_name_of_a_component_that_is_not_there_leads_to_nobody(
    tmp_path: Path,
) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        site = await harness.surface.read_site(ENVIRONMENT)
        assert isinstance(site, Present)
        port = site.value.endpoint.rstrip("/").rpartition(":")[2]

        async def answered(host: str) -> Any:
            return await _answer(harness, "/quote", {"Host": host})

        for gone in ("module-quotes.globex.localhost", "module-gone.acme.localhost"):
            for written in (gone, f"{gone}:{port}", f"{gone}.", gone.upper()):
                assert await answered(written) == 404, written
        for owners in ("localhost", f"127.0.0.1:{port}", "shop.localhost", "www.shop.localhost"):
            assert await answered(owners) == "module-shop"
        assert await answered(f"Module-Shop.acme.localhost:{port}") == "module-shop"
        by_service = {"Host": "module-gone.acme.localhost", "x-service": SHOP.service}
        assert await _answer(harness, "/", by_service) == "module-shop"


async def test_an_envoy_that_does_not_end_is_killed(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        edge = tmp_path / "surface" / "sites" / ENVIRONMENT / "edge"
        envoy = _proxy_of(edge).pid
        os.kill(envoy, signal.SIGSTOP)

        await harness.surface.delete_site(ENVIRONMENT, fence(1))

        assert start_ticks(envoy) is None


async def test_an_envoy_that_dies_comes_back_with_its_port_and_weights(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), harness.spec(2), weights={1: 40, 2: 60})
        before = await harness.surface.traffic(SHOP)
        edge = tmp_path / "surface" / "sites" / ENVIRONMENT / "edge"
        envoy = _proxy_of(edge).pid

        os.kill(envoy, signal.SIGKILL)

        assert isinstance(before, Present)
        after = before
        while after.value.epoch == before.value.epoch:
            await harness.clock.sleep(0.05)
            reading = await harness.surface.traffic(SHOP)
            after = reading if isinstance(reading, Present) else after
        await harness.until(lambda live: live.weights == {1: 40, 2: 60})
        assert await _answer(harness, "/") == "module-shop"
        await harness.surface.set_weights(SHOP, {1: 100}, fence(1))


async def test_the_proxy_is_administered_through_a_file_of_its_user(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        site = await harness.surface.read_site(ENVIRONMENT)
        assert isinstance(site, Present)
        edge = tmp_path / "surface" / "sites" / ENVIRONMENT / "edge"
        proxy = _proxy_of(edge)

        listening = {c.laddr.port for c in proxy.net_connections() if c.status == "LISTEN"}

        assert listening == {int(site.value.endpoint.rstrip("/").rpartition(":")[2])}
        assert stat.S_IMODE((edge / "admin.sock").stat().st_mode) == 0o600


async def test_a_folder_may_have_a_path_longer_than_an_address_of_a_socket(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path / ("long" * 30)) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})


async def test_a_proxy_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_agent.surface.WAIT_S", 2.0)
    async with local_process_harness(tmp_path) as harness:
        edge = tmp_path / "surface" / "sites" / ENVIRONMENT / "edge"
        proxy = _proxy_of(edge)
        # A socket in a folder that is not there: as a descriptor that the system refuses.
        monkeypatch.setattr("local_agent.envoy_process.SOCKET", "taken/by/nobody")
        proxy.kill()

        with pytest.raises(TrafficUnavailable, match=r"is late: .*critical.*"):
            await harness.surface.ensure_site(SITE, fence(1))


async def test_a_component_between_two_versions_is_not_a_path_of_another(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, path_prefix="/"), weights={1: 100})
        await harness.serve(
            harness.spec(1, component=ORDERS, path_prefix="/orders"), weights={1: 100}
        )
        said: list[Any] = []

        await harness.surface.set_weights(ORDERS, {}, fence(harness.tokens))
        await harness.surface.remove(ORDERS, 1, fence(harness.tokens))
        async with asyncio.timeout(PATIENCE_S):
            while isinstance(await harness.surface.observe(ORDERS), Present):
                said.append(await _answer(harness, "/orders"))
        for _ in range(5):
            said += [await _answer(harness, "/orders"), await _answer(harness, "/orders/7")]
            await harness.clock.sleep(0.1)
        spec = harness.spec(2, component=ORDERS, path_prefix="/orders")
        await harness.serve(spec, weights={2: 100})

        assert set(said) == {503}
        assert await _answer(harness, "/orders") == "module-orders"
