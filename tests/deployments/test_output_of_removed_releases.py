"""What the instances of a release wrote last is kept when it is removed, for 30 days."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.deployments.activities.keep_output import Removed, keep_output
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.stored_output import (
    BYTES_MAX,
    INSTANCES_MAX,
    LINES_MAX,
    InstanceOutput,
    Share,
    StoredOutput,
    newest_lines,
)
from function_apps.deployments.ports import DeploymentsRules
from function_apps.deployments.repository import find_output, put_output
from function_apps.deployments.use_cases.queries import read_logs
from function_apps.deployments.use_cases.remove_logs import remove_old_logs
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import isoformat
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Present, Reading, Unknown
from shared.persistence.blobs import StoredBlob
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.kit.memory_cluster import Behaviour
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.surfaces.harness import fence

LINES = ("listening", "GET / 500", "it broke")


async def shown(world: Driven, deployment: Deployment, tail: int = 100) -> Sequence[Mapping]:
    found = await read_logs(deployment.deployment_id, world.ctx, world.app, module=None, tail=tail)
    value: Sequence[Mapping[str, Any]] = found["value"]
    return value


async def released(world: Driven, content: str = "one", *lines: str, **more: Any) -> Deployment:
    """Release *content*, the instances of which write *lines*."""
    digest = await world.upload(content)
    behaviour = world.world.behaviours.get(digest, Behaviour())
    world.world.behaviours[digest] = replace(behaviour, output=lines or LINES)
    answer = await world.deploy(await world.component(content, **more))
    await world.settle()
    return await world.deployment(answer["deploymentId"])


async def names(world: Driven) -> Sequence[str]:
    return sorted(blob.name for blob in await world.app.logs.list_stored(""))


def test_output_is_away_where_the_installation_has_its_surface_no_more() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        deployment = await released(world)
        world.app = replace(world.app, surfaces={})

        with pytest.raises(Unavailable, match="no LocalProcess is configured"):
            await shown(world, deployment)

    run_virtual(main())


def test_output_of_a_release_that_was_replaced_is_answered_from_what_is_kept() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        live = await shown(world, first)
        before = world.ctx.now()

        second = await released(world, "two", "second")

        (kept,) = await shown(world, first)
        (instance,) = live
        assert (instance["source"], instance["live"], instance["storedAt"]) == (
            "surface",
            True,
            None,
        )
        assert kept == {
            **instance,
            "live": False,
            "source": "stored",
            "storedAt": kept["storedAt"],
        }
        assert isoformat(before) <= kept["storedAt"] <= isoformat(world.ctx.now())
        (serves,) = await shown(world, second)
        assert (serves["source"], serves["lines"]) == ("surface", ["second"])
        assert await names(world) == [f"{TENANT}/{TEST}/{SHOP}/1.json"]

    run_virtual(main())


def test_a_release_that_was_rolled_back_says_what_it_wrote() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await released(world)
        world.health.bad.add(await world.upload("two"))

        failed = await released(world, "two", "no database")

        assert failed.status is DeploymentStatus.ROLLED_BACK
        (kept,) = await shown(world, failed)
        assert (kept["source"], kept["releaseRevision"]) == ("stored", 2)
        assert kept["lines"] == ["no database"]

    run_virtual(main())


def test_a_first_release_that_never_started_says_what_it_wrote() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("one")] = Behaviour(exit_code=2)

        failed = await released(world, "one", "Traceback", "ImportError: shop")

        assert failed.status is DeploymentStatus.ROLLED_BACK
        assert world.live() == ({}, {})
        (kept,) = await shown(world, failed)
        assert kept["lines"] == ["Traceback", "ImportError: shop"]

    run_virtual(main())


def test_output_stays_when_its_environment_has_ended() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        release = await released(world)

        await world.tell(EnvironmentStatus.DECOMMISSIONING)
        await world.settle()
        await world.tell(EnvironmentStatus.DECOMMISSIONED)

        assert world.live() == ({}, {})
        (kept,) = await shown(world, release)
        assert (kept["source"], kept["lines"]) == ("stored", [*LINES])

    run_virtual(main())


@pytest.mark.parametrize("tail", [1, 2])
def test_a_caller_gets_as_many_lines_as_it_asks_for(tail: int) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        await released(world, "two")

        (kept,) = await shown(world, first, tail)

        assert kept["lines"] == [*LINES[-tail:]]

    run_virtual(main())


class _Told(MemorySurface):
    """A surface that says of what an instance wrote what it is told to."""

    answer: Callable[[], Awaitable[Reading[tuple[str, ...]]]]

    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        return await self.answer()


async def _silence() -> Reading[tuple[str, ...]]:
    await asyncio.Event().wait()
    raise AssertionError("it never answers")


async def _unknown() -> Reading[tuple[str, ...]]:
    return Unknown("the node is gone")


async def _defect() -> Reading[tuple[str, ...]]:
    raise OSError("defect")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(_silence, "its surface did not answer within 10 s", id="silence"),
        pytest.param(_unknown, "the node is gone", id="unknown"),
        pytest.param(_defect, "OSError: defect", id="defect"),
    ],
)
def test_a_surface_that_does_not_say_what_was_written_holds_up_no_release(
    answer: Callable[[], Awaitable[Reading[tuple[str, ...]]]], reason: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        mute = _Told(world.world)
        mute.answer = answer
        world.app = replace(world.app, surfaces={ComputeTargetKind.LOCAL_PROCESS: mute})

        second = await released(world, "two")

        assert second.status is DeploymentStatus.COMPLETED
        assert world.live() == ({2: 1}, {2: 100})
        (kept,) = await shown(world, first)
        assert (kept["source"], kept["reason"], kept["lines"]) == ("stored", reason, [])

    run_virtual(main())


def test_steps_that_run_twice_keep_what_the_first_run_kept() -> None:
    async def main() -> None:
        # Longer than a drain, so that a look that is taken twice answers the same.
        world = driven(rules=replace(DeploymentsRules(), observe_for_s=60.0))
        world.twice = True
        await world.tell()
        first = await released(world)
        surface = _Told(world.world)
        asked: list[str] = []

        async def answer() -> Reading[tuple[str, ...]]:
            asked.append("last words" if not asked else "of those that are not gone yet")
            return Present((asked[-1],))

        surface.answer = answer
        world.app = replace(world.app, surfaces={ComputeTargetKind.LOCAL_PROCESS: surface})

        await released(world, "two")

        (kept,) = await shown(world, first)
        assert kept["lines"] == ["last words"]
        assert asked == ["last words"]
        assert await names(world) == [f"{TENANT}/{TEST}/{SHOP}/1.json"]

    run_virtual(main())


async def _removed(world: Driven, count: int) -> Sequence[Removed]:
    """Return the live revisions of *count* modules, which were released."""
    modules = [f"{SHOP}-{number}" for number in range(count)]
    await world.deploy(*[await world.component("one", module) for module in modules])
    await world.settle()
    surface = world.app.surfaces[ComputeTargetKind.LOCAL_PROCESS]
    readings = [await surface.observe(world.surface_component(module)) for module in modules]
    live = [reading.value for reading in readings if isinstance(reading, Present)]
    return [Removed(each.component, revision) for each in live for revision in each.revisions]


def test_a_surface_that_is_silent_holds_up_the_removal_of_many_revisions_once() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        removed = await _removed(world, 20)
        silent = _Told(world.world)
        asked: list[int] = []

        async def answer() -> Reading[tuple[str, ...]]:
            asked.append(len(asked))
            return Present(LINES) if len(asked) == 1 else await _silence()

        silent.answer = answer
        clock = world.app.service.clock
        began_s = clock.monotonic_s()

        await keep_output(removed, silent, fence(1), world.ctx, world.app)

        assert clock.monotonic_s() - began_s == pytest.approx(10, abs=1)
        assert len(asked) < len(removed)
        stored = [await find_output(each.workload, 1, world.app) for each in removed]
        outputs = [output for each in stored if each for output in each.instances]
        assert [each.lines for each in outputs] == [LINES, *[()] * 19]
        assert {each.reason for each in outputs[1:]} == {"its surface did not answer within 10 s"}

    run_virtual(main())


def test_an_operation_that_was_overtaken_while_it_read_replaces_nothing_of_its_successor() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        (removed,) = await _removed(world, 1)
        later = StoredOutput("op-later", EPOCH, (InstanceOutput("i", ("of the later",)),), 9)
        slow = _Told(world.world)

        async def answer() -> Reading[tuple[str, ...]]:
            await put_output(removed.workload, 1, later, world.app)
            return Present(LINES)

        slow.answer = answer

        await keep_output([removed], slow, fence(8), world.ctx, world.app)

        assert await find_output(removed.workload, 1, world.app) == later

    run_virtual(main())


class _Unread(MemorySurface):
    """A surface that does not answer *unread*."""

    unread = ""

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        return Unknown("away") if self.unread == "observe" else await super().observe(component)

    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> Reading[tuple[str, ...]]:
        if self.unread == "kept_outputs":
            return Unknown("away")
        return await super().kept_outputs(component, revision)


@pytest.mark.parametrize(("unread", "live"), [("observe", None), ("kept_outputs", False)])
def test_what_is_stored_of_a_release_is_answered_only_where_its_surface_has_nothing(
    unread: str, *, live: bool | None
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        await released(world, "two")
        surface = _Unread(world.world)
        surface.unread = unread
        world.app = replace(world.app, surfaces={ComputeTargetKind.LOCAL_PROCESS: surface})

        (entry,) = await shown(world, first)

        assert (entry["instance"], entry["live"], entry["reason"]) == (None, live, "away")
        assert (entry["source"], entry["storedAt"], entry["lines"]) == ("surface", None, [])

    run_virtual(main())


class _Away:
    """Blobs that are away."""

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        raise Unavailable("the blobs are away")

    async def open(self, name: str) -> AsyncIterator[bytes]:
        raise Unavailable("the blobs are away")

    async def size(self, name: str) -> int | None:
        raise Unavailable("the blobs are away")

    async def list_stored(self, prefix: str) -> Sequence[StoredBlob]:
        raise Unavailable("the blobs are away")

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[StoredBlob]]:
        raise Unavailable("the blobs are away")
        yield ()

    async def delete(self, name: str) -> None:
        raise Unavailable("the blobs are away")


def test_blobs_that_are_away_hold_up_no_release_and_are_no_empty_answer() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        world.app = replace(world.app, logs=_Away())

        second = await released(world, "two")

        assert second.status is DeploymentStatus.COMPLETED
        (serves,) = await shown(world, second)
        assert serves["lines"] == [*LINES]
        with pytest.raises(Unavailable, match="the blobs are away"):
            await shown(world, first)
        await remove_old_logs(world.app)

    run_virtual(main())


async def _chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no fields"),
        pytest.param(b"[" * 4096, id="nested"),
        pytest.param(b" " * (5 * 2**20), id="too large"),
    ],
)
def test_a_damaged_blob_is_said_and_holds_up_nothing(content: bytes) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        await world.app.logs.put(f"{TENANT}/{TEST}/{SHOP}/1.json", _chunk(content))

        second = await released(world, "two")

        assert second.status is DeploymentStatus.COMPLETED
        with pytest.raises(Unavailable, match=f"the blob {TENANT}/{TEST}/{SHOP}/1.json of logs is"):
            await shown(world, first)

    run_virtual(main())


def test_what_no_blob_is_kept_of_has_no_output() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        await released(world, "two")
        await world.app.logs.delete(f"{TENANT}/{TEST}/{SHOP}/1.json")

        assert await shown(world, first) == []

    run_virtual(main())


def test_output_is_removed_after_thirty_days_that_of_all_tenants() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await released(world)
        await released(world, "two")
        await world.app.logs.put("globex/env/module-shop/1.json", _chunk(b"{}"))
        clock = world.app.service.clock

        await clock.sleep(timedelta(days=29).total_seconds())
        await remove_old_logs(world.app)
        assert len(await shown(world, first)) == 1
        await world.app.logs.put("globex/env/module-shop/2.json", _chunk(b"{}"))
        await clock.sleep(timedelta(days=1).total_seconds())
        await remove_old_logs(world.app)

        assert await names(world) == ["globex/env/module-shop/2.json"]
        assert await shown(world, first) == []

    run_virtual(main())


def test_a_revision_with_many_instances_keeps_as_many_lines_of_all_together() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        lines = [f"line {number}" for number in range(LINES_MAX)]
        first = await released(world, "one", *lines, replicas=INSTANCES_MAX + 2)
        await released(world, "two")

        kept = await shown(world, first, 1000)

        share = LINES_MAX // INSTANCES_MAX
        assert len(kept) == INSTANCES_MAX + 2
        assert all(each["lines"] == lines[-share:] for each in kept[:INSTANCES_MAX])
        assert [each["reason"] for each in kept[INSTANCES_MAX:]] == [
            f"the output of {INSTANCES_MAX} instances is kept"
        ] * 2

    run_virtual(main())


def test_instances_that_are_not_ready_are_kept_first() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await released(world, "one", replicas=INSTANCES_MAX + 2)
        live = await world.app.surfaces[ComputeTargetKind.LOCAL_PROCESS].observe(
            world.surface_component(SHOP)
        )
        assert isinstance(live, Present)
        (revision,) = live.value.revisions
        *_, one, another = revision.instances
        failing = [replace(each, is_ready=False) for each in (one, another)]
        instances = (*revision.instances[:-2], *failing)
        removed = Removed(live.value.component, replace(revision, instances=instances))

        assert removed.instances[:2] == [one.id, another.id]
        assert len(removed.instances) == INSTANCES_MAX + 2

    run_virtual(main())


def test_one_run_removes_so_much_and_the_next_one_goes_on() -> None:
    async def main() -> None:
        world = driven()
        for number in range(5):
            await world.app.logs.put(f"globex/env/module-shop/{number}.json", _chunk(b"{}"))
        await world.app.service.clock.sleep(timedelta(days=30).total_seconds())

        await remove_old_logs(world.app, at_most=3)
        assert len(await names(world)) == 2
        await remove_old_logs(world.app, at_most=3)

        assert await names(world) == []

    run_virtual(main())


@pytest.mark.parametrize(
    ("lines", "share", "kept"),
    [
        pytest.param(["a", "b", "c"], Share(2, 100), ("b", "c"), id="too many lines"),
        pytest.param(["aaaa", "bb", "cc"], Share(9, 6), ("bb", "cc"), id="one byte to spare"),
        pytest.param(["aaaa", "bb", "cc"], Share(9, 5), ("bb", "cc"), id="as many bytes as fit"),
        pytest.param(["aaaa", "bb", "cc"], Share(9, 4), ("cc",), id="one byte too many"),
        pytest.param(["a" * 9], Share(9, 4), ("aaaa",), id="a long line"),
        pytest.param(["äöü"], Share(9, 3), ("ü",), id="a letter that is cut"),
        pytest.param(["\udc80x"], Share(9, 9), ("?x",), id="no text"),
        pytest.param([], Share(9, 9), (), id="nothing"),
    ],
)
def test_the_newest_lines_that_fit_are_kept(
    lines: Sequence[str], share: Share, kept: Sequence[str]
) -> None:
    assert newest_lines(lines, share) == kept


@pytest.mark.parametrize("instances", [0, 1, 3, INSTANCES_MAX, 1000])
def test_the_bounds_are_of_all_instances_together(instances: int) -> None:
    share = Share.of(instances)

    read = min(max(instances, 1), INSTANCES_MAX)
    assert 1 <= share.lines * read <= LINES_MAX
    assert 1 <= share.size_bytes * read <= BYTES_MAX


def _stored(operation: str, *lines: str, token: int = 1) -> StoredOutput:
    return StoredOutput(operation, EPOCH, (InstanceOutput("i", lines),), token)


@pytest.mark.parametrize(
    ("known", "new", "is_replaced"),
    [
        pytest.param(None, _stored("a"), True, id="nothing"),
        pytest.param(_stored("a"), _stored("a", "x"), True, id="reasons by lines"),
        pytest.param(_stored("a", "x"), _stored("a", "y"), False, id="lines by a repeated step"),
        pytest.param(_stored("a", "x"), _stored("b"), False, id="lines by reasons"),
        pytest.param(_stored("a", "x"), _stored("b", "y"), True, id="lines by later ones"),
        pytest.param(
            _stored("b", "x", token=2), _stored("a", "y"), False, id="lines by an earlier operation"
        ),
        pytest.param(
            _stored("b", token=2), _stored("a", "y"), False, id="reasons by an earlier operation"
        ),
    ],
)
def test_a_later_removal_replaces_what_is_kept_unless_it_has_nothing(
    known: StoredOutput | None, new: StoredOutput, *, is_replaced: bool
) -> None:
    assert new.replaces(known) == is_replaced


def test_the_same_operation_does_not_read_again_what_it_has_lines_of() -> None:
    assert _stored("a", "x").is_final("a")
    assert not _stored("a", "x").is_final("b")
    assert not _stored("a").is_final("a")
