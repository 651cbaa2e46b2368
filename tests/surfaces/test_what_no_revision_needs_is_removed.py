"""Cleanup: what a revision here needs stays, the rest goes after a while, and doubt keeps all."""

import asyncio
import errno
import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_agent.artifacts import Artifacts
from local_agent.cleanup import OUTPUT_KEPT, UNNEEDED_FOR_S, Cleanup
from local_agent.state_files import (
    ComponentRecord,
    DesiredComponent,
    DesiredRevision,
    InstanceRecord,
    SurfaceFolder,
)
from shared.kernel.observation import Present
from shared.persistence.plain_files import open_lock
from shared.surfaces.spec import artifact_blob
from tests.surfaces.harness import ENVIRONMENT, SHOP, TEMPLATE, fence
from tests.surfaces.local_process_harness import (
    SERVER,
    FolderBlobs,
    local_process_harness,
    this_process,
    upload,
    zipped,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


@dataclass
class Machine:
    """A surface's folder with one component, and the cleanup of it."""

    root: Path
    elapsed_s: float = 0.0
    meanwhile: Callable[[], None] = lambda: None
    """Done when the cleanup has read what is needed, and asks for the time."""
    rounds: int = 0
    """How many cleanups there are before `run` is canceled."""
    cleanup: Cleanup = field(init=False)

    def __post_init__(self) -> None:
        self.folder = SurfaceFolder(self.root)
        self.site = self.folder.site(ENVIRONMENT)
        self.artifacts = Artifacts(self.root / "artifacts", FolderBlobs(self.root / "blobs"))
        self.start_agent()

    def start_agent(self) -> None:
        clock: Any = self
        self.cleanup = Cleanup(self.folder, self.artifacts, clock)

    def monotonic_s(self) -> float:
        self.meanwhile()
        return self.elapsed_s

    async def sleep(self, _delay_s: float) -> None:
        self.rounds -= 1
        if self.rounds < 0:
            raise asyncio.CancelledError
        self.elapsed_s += UNNEEDED_FOR_S

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.elapsed_s)  # noqa: TID251  beside mtimes

    def desire(self, *numbers: int, recorded: tuple[str, ...] = ()) -> None:
        """Have revisions of these numbers, each of the artifact of its number."""
        revisions = {
            n: DesiredRevision(replace(TEMPLATE, revision=n, artifact=digest(n))) for n in numbers
        }
        self.site.write_component(DesiredComponent(SHOP, revisions=revisions))
        running = tuple(InstanceRecord(name, 1, "t", None, EPOCH) for name in recorded)
        self.site.write_record(ComponentRecord(SHOP, running), is_durable=False)

    def unpack(self, *numbers: int) -> None:
        for number in numbers:
            folder = self.root / "artifacts" / artifact_blob(digest(number))
            (folder / "content").mkdir(parents=True)
            (folder / "content" / "program").write_text("x")
            (folder / "unpacked.json").write_text("{}")

    def instance(self, name: str) -> Path:
        path = self.site.instances(SHOP.service) / name
        for inner in ("work", "home", "tmp"):
            (path / inner).mkdir(parents=True)
        (path / "order.json").write_text("{}")
        (path / "output.log").write_text("said")
        return path

    def clean_later(self) -> None:
        self.cleanup.clean()
        self.elapsed_s += UNNEEDED_FOR_S
        self.cleanup.clean()

    def unpacked(self) -> set[int]:
        folders = (self.root / "artifacts" / "sha256").iterdir()
        return {int(path.name, 16) for path in folders if (path / "content" / "program").exists()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "surface")


def test_what_a_revision_needs_stays_and_the_rest_goes_after_a_while(machine: Machine) -> None:
    machine.desire(1, 2)
    machine.unpack(1, 2, 3)

    machine.cleanup.clean()
    machine.elapsed_s += UNNEEDED_FOR_S - 1
    machine.cleanup.clean()
    assert machine.unpacked() == {1, 2, 3}

    machine.elapsed_s += 1
    machine.cleanup.clean()
    machine.cleanup.clean()
    assert machine.unpacked() == {1, 2}
    assert not (machine.root / "artifacts" / "removed").exists()


def test_what_is_needed_again_meanwhile_begins_anew(machine: Machine) -> None:
    machine.desire(1)
    machine.unpack(1, 2)
    machine.cleanup.clean()
    machine.desire(1, 2)
    machine.elapsed_s += UNNEEDED_FOR_S
    machine.cleanup.clean()
    machine.desire(1)
    machine.elapsed_s += UNNEEDED_FOR_S
    machine.cleanup.clean()

    assert machine.unpacked() == {1, 2}


def damage_document(machine: Machine) -> None:
    (machine.site.path / "components" / f"{SHOP.service}.json").write_text("{ half")


def damage_record(machine: Machine) -> None:
    (machine.site.path / "running" / f"{SHOP.service}.json").write_text("{ half")


def damage_of_another_site(machine: Machine) -> None:
    other = machine.root / "sites" / "env-other" / "components"
    other.mkdir(parents=True)
    (other / "svc-x.json").write_text("")


def lose_the_sites(machine: Machine) -> None:
    (machine.root / "sites").rename(machine.root / "elsewhere")


def replace_the_components(machine: Machine) -> None:
    (machine.site.path / "components").rename(machine.site.path / "elsewhere")
    (machine.site.path / "components").write_text("no folder")


@pytest.mark.parametrize(
    "damage",
    [
        damage_document,
        damage_record,
        damage_of_another_site,
        lose_the_sites,
        replace_the_components,
    ],
)
def test_nothing_goes_while_what_is_needed_cannot_be_read_whole(
    machine: Machine, damage: Callable[[Machine], None]
) -> None:
    machine.desire(1)
    machine.unpack(1, 2)
    left_over = machine.instance("module-shop-7-0")
    machine.cleanup.clean()
    damage(machine)
    machine.elapsed_s += UNNEEDED_FOR_S

    machine.cleanup.clean()

    assert machine.unpacked() == {1, 2}
    assert (left_over / "work").exists() or not (machine.root / "sites").exists()


def test_nothing_goes_while_an_artifact_is_prepared(machine: Machine) -> None:
    machine.desire(1)
    machine.unpack(1, 2)
    with os.fdopen(open_lock(machine.root / "artifacts" / "lock"), "a") as preparing:
        fcntl.flock(preparing, fcntl.LOCK_SH)
        machine.clean_later()
        assert machine.unpacked() == {1, 2}

    machine.cleanup.clean()
    assert machine.unpacked() == {1}


def test_what_is_needed_since_it_was_read_stays(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.desire(1)
    machine.unpack(1, 2)
    machine.cleanup.clean()
    machine.elapsed_s += UNNEEDED_FOR_S
    remove = machine.artifacts.remove

    def needed_by_now(*given: Any) -> None:
        machine.desire(1, 2)
        remove(*given)

    monkeypatch.setattr(machine.artifacts, "remove", needed_by_now)

    machine.cleanup.clean()

    assert machine.unpacked() == {1, 2}


def test_an_instance_that_is_needed_since_that_was_read_stays(machine: Machine) -> None:
    machine.desire(2)
    again = machine.instance("module-shop-1-0")
    machine.cleanup.clean()
    machine.elapsed_s += UNNEEDED_FOR_S

    machine.meanwhile = lambda: machine.desire(1, 2)
    machine.cleanup.clean()

    assert (again / "work").exists()
    assert (again / "order.json").exists()


async def test_a_cleanup_that_fails_is_tried_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.desire(1)
    machine.unpack(1, 2)
    remove, refusals = machine.artifacts.remove, [OSError(errno.ENOSPC, "No space left on device")]

    def refuse_first(*given: Any) -> None:
        if refusals:
            raise refusals.pop()
        remove(*given)

    monkeypatch.setattr(machine.artifacts, "remove", refuse_first)
    machine.rounds = 3
    with suppress(asyncio.CancelledError):
        await machine.cleanup.run()

    assert machine.unpacked() == {1}


def test_one_that_cannot_be_removed_stops_no_other(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.desire(1)
    machine.unpack(1, 2, 3, 4)
    rename = Path.rename

    def stuck(path: Path, target: Path) -> Path:
        if path.name == f"{3:064x}":
            raise PermissionError(13, "not permitted", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stuck)

    machine.clean_later()

    assert machine.unpacked() == {1, 3}


def test_a_cleanup_that_was_killed_is_finished_by_the_next(machine: Machine) -> None:
    machine.desire(1)
    machine.unpack(1)
    half = machine.root / "artifacts" / "removed" / f"{9:064x}"
    (half / "content").mkdir(parents=True)
    archive = machine.root / "artifacts" / artifact_blob(digest(1)) / "archive-x"
    archive.write_text("half an archive")

    machine.cleanup.clean()

    assert not half.exists()
    assert not archive.exists()
    assert machine.unpacked() == {1}


def test_scratch_of_an_instance_that_may_not_run_again_goes_and_its_output_stays(
    machine: Machine,
) -> None:
    machine.desire(3, recorded=("module-shop-2-0",))
    kept = [machine.instance(f"module-shop-{n}-0") for n in (2, 3)]
    gone = machine.instance("module-shop-1-0")

    machine.clean_later()

    assert [sorted(p.name for p in path.iterdir()) for path in kept] == [
        ["home", "order.json", "output.log", "tmp", "work"]
    ] * 2
    assert [path.name for path in gone.iterdir()] == ["output.log"]


def test_output_of_a_component_that_is_gone_stays_for_a_week(machine: Machine) -> None:
    machine.desire()
    gone = machine.instance("module-shop-1-0")
    machine.clean_later()
    assert (gone / "output.log").exists()

    machine.elapsed_s += OUTPUT_KEPT.total_seconds()
    machine.cleanup.clean()

    assert not gone.exists()


def test_a_folder_whose_process_lives_stays(machine: Machine) -> None:
    machine.desire()
    path = machine.instance("module-shop-1-0")
    own = this_process()
    claim = {"pid": own.pid, "ticks": own.ticks, "boot": own.boot, "token": own.token}
    (path / "claim-x").write_text(json.dumps(claim))

    machine.clean_later()

    assert (path / "work").exists()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("desire"), st.sets(st.integers(1, 6), max_size=4)),
        st.tuples(st.just("unpack"), st.sets(st.integers(1, 6), max_size=4)),
        st.tuples(st.just("wait"), st.sampled_from([60.0, UNNEEDED_FOR_S])),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=25,
)


@pytest.mark.long
@given(STEPS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None
)
def test_whatever_happens_no_desired_artifact_goes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    machine = Machine(tmp_path_factory.mktemp("m") / "surface")
    machine.desire()
    (machine.root / "artifacts" / "sha256").mkdir(parents=True)
    wanted: set[int] = set()
    for kind, value in steps:
        match kind:
            case "desire":
                wanted = value
                machine.desire(*value)
            case "unpack":
                machine.unpack(*(value - machine.unpacked()))
            case "wait":
                machine.elapsed_s += value
            case _:
                machine.start_agent()
        before = machine.unpacked()
        machine.cleanup.clean()
        assert before & wanted <= machine.unpacked()

    machine.clean_later()
    assert machine.unpacked() <= wanted


@pytest.mark.real
async def test_a_release_that_comes_back_is_unpacked_again(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        blobs = FolderBlobs(tmp_path / "blobs")
        other = upload(blobs, zipped({"server.py": SERVER, "other": "x"}))
        machine = Machine(tmp_path / "surface")
        await harness.serve(harness.spec(), weights={1: 100})
        await harness.serve(harness.spec(2, artifact=other), weights={2: 100})
        await harness.surface.remove(SHOP, 1, fence(1))
        await harness.until(lambda live: [r.revision for r in live.revisions] == [2])

        machine.clean_later()

        left = {path.name for path in (machine.root / "artifacts" / "sha256").iterdir()}
        assert left == {other.removeprefix("sha256:")}
        assert isinstance(await harness.surface.prove(SHOP), Present)
        await harness.serve(harness.spec(3), weights={3: 100})
