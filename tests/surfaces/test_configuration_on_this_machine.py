"""Files of a configuration are the instance's own on this machine, and its proof reads them."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.harness import SHOP, SurfaceHarness
from tests.surfaces.test_contract_of_configuration import FILES, configured, proofs

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(on="local-process")


def folder(tmp_path: Path) -> Path:
    """Return where the first instance of the first revision has its files."""
    site = tmp_path / "surface" / "sites" / SHOP.environment
    return site / "instances" / SHOP.service / "module-shop-1-0" / "configuration"


def test_its_files_are_for_its_user_alone_to_read(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(configured(harness))
        live = await harness.until(lambda live: live.revisions[0].ready == 1)
        assert harness.ask is not None

        found = await harness.ask(live.revisions[0].instances[0], "/inside")

        assert found["configuration"]["modes"] == [["0o400", True]] * len(FILES)

    run_scenario(scenario)


@pytest.mark.parametrize("name", ["app.json", "added.json"])
def test_a_file_that_somebody_changed_disproves_it_until_its_next_start(
    run_scenario: RunScenario, tmp_path: Path, name: str
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(configured(harness))
        assert (await proofs(harness))[1].departs == ()
        file = folder(tmp_path) / name
        file.touch()
        file.chmod(0o600)
        file.write_text("canary-of-a-value")

        proof = (await proofs(harness))[1]

        assert proof.departs == (
            f"configuration is another in files/{name}, expected sha256:{'1' * 64}",
        )
        assert proof.unit["configurationHash"] == ""

    run_scenario(scenario)
