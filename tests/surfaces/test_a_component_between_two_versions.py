"""A component without a revision keeps its path for two minutes, behind whoever else has it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from local_agent.component_controller import ComponentController
from local_agent.envoy_config import ComponentRoute, RevisionRoute, routes
from local_agent.state_files import DesiredComponent, DesiredRevision, LastRoute, SiteFolder
from shared.kernel.ids import ModuleId, TenantId
from shared.surfaces.spec import SurfaceComponent
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.surfaces.harness import SHOP, TEMPLATE
from tests.surfaces.test_a_pass_waits_for_no_disk import context_of

REMOVED = DesiredRevision(TEMPLATE, removed_at=EPOCH)
WORKER = DesiredRevision(replace(TEMPLATE, revision=2, port=None))
GONE = DesiredComponent(SHOP, last_route=LastRoute("/", EPOCH))


def route_of(
    folder: Path, desired: DesiredComponent, *, owner: str = SHOP.tenant, after_s: float = 0
) -> ComponentRoute | None:
    async def main() -> ComponentRoute | None:
        async with asyncio.TaskGroup() as tasks:
            context = context_of(folder, tasks)
            await context.clock.sleep(after_s)
            controller = ComponentController(SiteFolder(folder / "site"), SHOP, context)
            return controller.route(desired, TenantId(owner))

    return run_virtual(main())


@pytest.mark.parametrize(("after_s", "is_there"), [(119, True), (121, False)])
def test_its_path_is_kept_for_two_minutes(
    after_s: float, tmp_path: Path, *, is_there: bool
) -> None:
    route = route_of(tmp_path, GONE, after_s=after_s)

    assert route == (ComponentRoute(SHOP, "/", {}, ()) if is_there else None)


def test_of_a_guest_its_host_name_is(tmp_path: Path) -> None:
    assert route_of(tmp_path, GONE, owner="globex") == ComponentRoute(SHOP, None, {}, ())


@pytest.mark.parametrize(
    ("before", "left", "expected"),
    [
        pytest.param({1: REMOVED}, {}, LastRoute("/", EPOCH), id="of-its-last-revision"),
        pytest.param({1: REMOVED}, {2: WORKER}, LastRoute("/", EPOCH), id="a-worker-now"),
        pytest.param({1: REMOVED, 2: REMOVED}, {2: REMOVED}, None, id="not-while-one-is-there"),
        pytest.param({2: WORKER}, {}, None, id="not-of-a-worker"),
    ],
)
def test_what_is_remembered(
    before: dict[int, DesiredRevision],
    left: dict[int, DesiredRevision],
    expected: LastRoute | None,
    tmp_path: Path,
) -> None:
    async def main() -> LastRoute | None:
        async with asyncio.TaskGroup() as tasks:
            context = context_of(tmp_path, tasks)
            controller = ComponentController(SiteFolder(tmp_path / "site"), SHOP, context)
            return controller.last_route(DesiredComponent(SHOP, revisions=before), left)

    found = run_virtual(main())

    assert (found and found.path_prefix) == (expected and expected.path_prefix)
    assert found is None or found.ended_at - EPOCH < timedelta(seconds=1)


def test_another_component_with_its_path_comes_first() -> None:
    other = SurfaceComponent(SHOP.environment, SHOP.tenant, ModuleId("module-zebra"))
    serving = ComponentRoute(other, "/", {1: 100}, (RevisionRoute(1, {20001: True}),))

    table = routes([ComponentRoute(SHOP, "/", {}, ()), serving])

    by_path = [
        each.get("name")
        for host in table["resources"][0]["virtual_hosts"]
        for each in host["routes"]
        if host["name"] == "default" and "headers" not in each["match"]
    ]
    assert by_path[0] == other.service
