"""What every StackStates promises."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from local_cloud.infrastructure.folder_states import KEPT_VERSIONS, FolderStates
from local_cloud.infrastructure.state import (
    STATE_CODEC,
    EndedRun,
    ResourceStep,
    StackRun,
    StackState,
    StackStates,
)
from shared.infrastructure.graph import Graph, RecordedResource, ResourceAction
from shared.infrastructure.port import RemainingResource, RunFailed, RunSucceeded, StackName
from shared.kernel.errors import Invalid, Stale, Unavailable
from tests.infrastructure.graphs import named, node
from tests.infrastructure.installations import LAST, STACK, inputs
from tests.kit.memory_engine import MemoryCloud, MemoryStates, memory_engine
from tests.kit.stack_runs import update

GOLDEN = Path(__file__).parents[1] / "golden" / "documents"
OF_SCHEMA_1 = GOLDEN / "stack_state.schema1.json"
"""Of before the first release: an update was killed in the step that makes `data-logs`."""
OF_SCHEMA_2 = GOLDEN / "stack_state.schema2.json"
"""Of 0.2.0: `FULL`, saved once."""
VAULT = RecordedResource(
    named("a"), "t", "a", {"x": [1, {"y": None}]}, {"id": "ä"}, (named("b"),), protected=True,
    in_doubt=ResourceAction.UPDATE,
)  # fmt: skip
LEFT = RemainingResource(named("a"), "a", "Retained", "it was asked to stay")
FULL = StackState(
    STACK,
    token=7,
    inputs={"stage": "test", "compute_targets": [{"kind": "LocalProcess"}]},
    resources=(VAULT,),
    outputs={"facts": {"k": "v"}},
    run=StackRun(
        "op-3",
        LAST,
        (ResourceStep(named("a"), "t", "a", 0, ResourceAction.DELETE),),
        Graph((node("a", needs=["b"], size=1),), {"o": 1}),
        frozenset({0}),
        (LEFT,),
        is_cancel_requested=True,
    ),
    ended=(
        EndedRun("op-1", RunSucceeded({"facts": {"k": "v"}}, (LEFT,))),
        EndedRun("op-2", RunFailed("Canceled", "a: canceled between two steps", (LEFT,))),
    ),
)


@pytest.fixture(params=["memory", "folder"])
def states(request: pytest.FixtureRequest, tmp_path: Path) -> StackStates:
    return MemoryStates(MemoryCloud()) if request.param == "memory" else FolderStates(tmp_path)


async def test_a_stack_never_saved_is_empty_and_of_version_0(states: StackStates) -> None:
    assert await states.load(STACK) == StackState(STACK)


async def test_a_state_comes_back_as_it_was_saved_one_version_later(states: StackStates) -> None:
    saved = await states.save(FULL)

    assert saved == replace(FULL, version=1)
    assert await states.load(STACK) == saved
    assert await states.load(StackName("env-other")) == StackState(StackName("env-other"))


async def test_of_two_saves_over_one_version_one_is_refused(states: StackStates) -> None:
    outcomes = await asyncio.gather(
        *(states.save(replace(FULL, token=token)) for token in range(8)), return_exceptions=True
    )

    won = [each for each in outcomes if isinstance(each, StackState)]
    assert len(won) == 1
    assert all(isinstance(each, StackState | Stale) for each in outcomes)
    assert await states.load(STACK) == won[0]


async def test_a_writer_that_slept_through_many_versions_is_refused(states: StackStates) -> None:
    now = FULL
    for _ in range(KEPT_VERSIONS + 5):
        now = await states.save(now)

    with pytest.raises(Stale):
        await states.save(FULL)

    assert await states.load(STACK) == now


async def test_a_folder_keeps_the_last_versions_only(tmp_path: Path) -> None:
    states, now = FolderStates(tmp_path), FULL
    for _ in range(KEPT_VERSIONS + 5):
        now = await states.save(now)

    assert len(list((tmp_path / STACK).iterdir())) == KEPT_VERSIONS


async def test_what_a_killed_save_left_is_tidied_by_the_next_and_never_read(
    tmp_path: Path,
) -> None:
    states = FolderStates(tmp_path)
    now = await states.save(FULL)
    (tmp_path / STACK / ".000000002.json.4711.1").write_text('{"version": 2, "sta')

    assert await states.load(STACK) == now
    now = await states.save(await states.save(now))

    assert len(list((tmp_path / STACK).iterdir())) == now.version


async def test_a_state_of_schema_1_is_read_and_the_next_run_ends_what_it_left_open(
    tmp_path: Path,
) -> None:
    (tmp_path / STACK).mkdir()
    shutil.copy(OF_SCHEMA_1, tmp_path / STACK / "000000010.json")
    cloud = MemoryCloud()
    engine = memory_engine(cloud)
    cloud.states[STACK] = state = await FolderStates(tmp_path).load(STACK)

    assert (state.version, state.token, state.run) == (10, 2, None)
    assert {each.name: each.in_doubt for each in state.resources} == {
        "test": None, "data-data": None, "site": None, "data-logs": "create",
    }  # fmt: skip
    end = await update(engine, STACK, inputs("data", "logs"), LAST)
    assert set(end.outputs["facts"]) == {"data.data.path", "data.logs.path"}


async def test_a_state_of_schema_2_is_read_as_it_was_saved(tmp_path: Path) -> None:
    (tmp_path / STACK).mkdir()
    shutil.copy(OF_SCHEMA_2, tmp_path / STACK / "000000001.json")

    assert await FolderStates(tmp_path).load(STACK) == replace(FULL, version=1)


async def test_a_state_of_a_later_schema_is_not_guessed_at(tmp_path: Path) -> None:
    await FolderStates(tmp_path).save(FULL)
    path = tmp_path / STACK / "000000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": STATE_CODEC.schema + 1}))

    with pytest.raises(Unavailable, match="schema"):
        await FolderStates(tmp_path).load(STACK)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": "x"}'])
async def test_a_state_that_cannot_be_read_is_a_dependency_that_is_away(
    tmp_path: Path, content: str
) -> None:
    states = FolderStates(tmp_path)
    await states.save(FULL)
    (tmp_path / STACK / "000000001.json").write_text(content)

    with pytest.raises(Unavailable):
        await states.load(STACK)


@pytest.mark.parametrize("name", ["", "..", "a/b", "ä", "a" * 101])
async def test_a_name_that_is_no_stacks_names_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid):
        await FolderStates(tmp_path).load(StackName(name))
