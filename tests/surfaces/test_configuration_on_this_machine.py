"""Files of a configuration are the instance's own on this machine, and its proof reads them."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.harness import SHOP, SurfaceHarness, fence
from tests.surfaces.test_contract_of_configuration import FILES, configured, proofs

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(on="local-process")


def folder(tmp_path: Path) -> Path:
    """Return where the first instance of the first revision has its files."""
    return site(tmp_path) / "instances" / SHOP.service / "module-shop-1-0" / "configuration"


def site(tmp_path: Path) -> Path:
    return tmp_path / "surface" / "sites" / SHOP.environment


def test_what_is_desired_has_no_text_and_texts_go_with_their_revision(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        kept = site(tmp_path) / "texts" / SHOP.service
        for number in (1, 2):
            await harness.surface.apply(replace(configured(harness, number), replicas=0), fence(1))
        assert sorted(path.name for path in kept.iterdir()) == ["1", "2"]
        desired = (site(tmp_path) / "components" / f"{SHOP.service}.json").read_text()
        assert "LOG_LEVEL" in desired
        assert "debug" not in desired

        await harness.surface.remove(SHOP, 1, fence(1))
        await harness.until(lambda live: [each.revision for each in live.revisions] == [2])
        left = [path.name for path in kept.iterdir()]
        await harness.surface.delete_site(SHOP.environment, fence(1))
        await harness.until_gone()

        assert left == ["2"]
        assert not kept.exists()

    run_scenario(scenario)


def test_an_instance_whose_texts_are_lost_does_not_start_until_they_are_there_again(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        spec = configured(harness)
        await harness.surface.apply(replace(spec, replicas=0), fence(1))
        (site(tmp_path) / "texts" / SHOP.service / "1").write_text('{"files": {"app.json": "x"}}')

        await harness.surface.scale(SHOP, 1, 1, fence(1))
        live = await harness.until(lambda live: live.revisions[0].reason == "CannotStart")
        await harness.serve(spec)

        (waiting,) = live.revisions[0].instances
        assert waiting.message.endswith("are not there: deploy again")
        assert (await proofs(harness))[1].departs == ()

    run_scenario(scenario)


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
