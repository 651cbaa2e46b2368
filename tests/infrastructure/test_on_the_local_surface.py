"""The embedded engine over the real surface of this machine: a proxy answers, and goes again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local_agent.surface import LocalProcessSurface
from local_agent.vault_folder import VaultFolder
from local_cloud.blobs import MemoryBlobs
from local_cloud.infrastructure.embedded import embedded_engine
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent
from tests.infrastructure.installations import EVALUATOR, FENCE, LAST, LATER, STACK, inputs
from tests.kit.environment_vaults import local_vaults
from tests.kit.stack_runs import destroy, update

pytestmark = pytest.mark.real


@pytest.fixture
async def surface(tmp_path: Path) -> AsyncIterator[LocalProcessSurface]:
    clock, entropy = SystemClock(), SystemEntropy()
    secrets = VaultFolder(tmp_path / "vaults", clock, entropy)
    made = LocalProcessSurface(tmp_path / "surface", MemoryBlobs(clock), secrets, clock, entropy)
    supervising = asyncio.create_task(made.supervise())
    yield made
    # A proxy outlives its supervisor by design: a test that failed half way must not leave it.
    await made.delete_site(EnvironmentId(inputs().environment_id), LAST)
    supervising.cancel()
    with suppress(asyncio.CancelledError):
        await supervising


async def answers(endpoint: str) -> bool:
    place = urlsplit(endpoint)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    except OSError:
        return False
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.startswith(b"HTTP/1.1 ")


async def test_a_provisioned_site_answers_at_its_endpoint_until_it_is_destroyed(
    surface: LocalProcessSurface, tmp_path: Path
) -> None:
    sites = {ComputeTargetKind.LOCAL_PROCESS: surface}
    engine = embedded_engine(
        tmp_path / "engine",
        sites,
        local_vaults(tmp_path),
        SystemClock(),
        SystemEntropy(),
        evaluator=EVALUATOR,
    )

    made = await update(engine, STACK, inputs("data"), FENCE)

    endpoint = made.outputs["computeTargets"][0]["endpoint"]
    assert await answers(endpoint)
    assert (await engine.refresh(STACK, FENCE)).changed == ()
    assert (await engine.preview(STACK, inputs("data"))).is_empty

    assert (await destroy(engine, STACK, LATER)).left == ()
    assert not await answers(endpoint)
    assert await engine.read(STACK) == Absent()
