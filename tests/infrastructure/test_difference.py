"""What a plan is, over graphs of any shape."""

import pytest
from hypothesis import given, settings

from local_cloud.infrastructure.difference import planned_changes, planned_steps
from local_cloud.infrastructure.state import StackState
from shared.infrastructure.graph import Graph, Node, RecordedResource, Urn, resolve
from shared.infrastructure.port import DestroyPlan
from shared.kernel.fence import Fence
from tests.infrastructure.graphs import THING, engine_for, graphs, named, node
from tests.infrastructure.installations import FENCE, LAST, LATER, STACK, inputs
from tests.kit.memory_engine import MemoryCloud, urn
from tests.kit.stack_runs import destroy, update
from tests.kit.virtual_time import run_virtual


async def bring_to(cloud: MemoryCloud, nodes: tuple[Node, ...], fence: Fence) -> None:
    await update(engine_for(cloud, *nodes), STACK, inputs(), fence)


@pytest.mark.long
@given(graphs(), graphs())
@settings(max_examples=150, deadline=None)
def test_applying_any_plan_makes_the_next_one_empty(
    first: tuple[Node, ...], second: tuple[Node, ...]
) -> None:
    async def scenario() -> None:
        cloud = MemoryCloud()
        await bring_to(cloud, first, FENCE)
        await bring_to(cloud, second, LATER)

        assert (await engine_for(cloud, *second).preview(STACK, inputs())).is_empty
        assert set(cloud.resources) == {each.urn for each in second}

    run_virtual(scenario())


@pytest.mark.long
@given(graphs(), graphs())
@settings(max_examples=150, deadline=None)
def test_every_resource_ends_with_the_outputs_its_references_have_in_the_end(
    first: tuple[Node, ...], second: tuple[Node, ...]
) -> None:
    async def scenario() -> None:
        cloud = MemoryCloud()
        await bring_to(cloud, first, FENCE)
        await bring_to(cloud, second, LATER)

        outputs = {each.urn: each.outputs for each in cloud.states[STACK].resources}
        for each in second:
            wanted = resolve(each.properties, lambda to: outputs[to.urn][to.output])
            assert cloud.resources[each.urn].properties == wanted

    run_virtual(scenario())


@pytest.mark.long
@given(graphs(), graphs())
@settings(max_examples=150, deadline=None)
def test_nothing_is_made_before_or_deleted_after_what_it_depends_on(
    first: tuple[Node, ...], second: tuple[Node, ...]
) -> None:
    async def scenario() -> None:
        cloud = MemoryCloud()
        await bring_to(cloud, first, FENCE)
        steps = planned_steps(cloud.states[STACK], Graph(second, {}))
        at = {(step.urn, step.action.value): step.index for step in steps}

        def index(urn: Urn, *actions: str) -> int | None:
            return next((at[urn, action] for action in actions if (urn, action) in at), None)

        for each in second:
            made = index(each.urn, "create", "update")
            for needed in each.dependencies:
                before = index(needed, "create", "update")
                assert made is None or before is None or before < made
        for each in first:
            gone = index(each.urn, "delete")
            for needed in each.dependencies:
                after = index(needed, "delete")
                assert gone is None or after is None or gone < after

    run_virtual(scenario())


@given(graphs())
@settings(max_examples=50, deadline=None)
def test_destroying_any_stack_leaves_nothing(nodes: tuple[Node, ...]) -> None:
    async def scenario() -> None:
        cloud = MemoryCloud()
        await bring_to(cloud, nodes, FENCE)

        finished = await destroy(engine_for(cloud, *nodes), STACK, LAST)

        assert finished.left == ()
        assert cloud.resources == {}

    run_virtual(scenario())


@given(graphs())
@settings(max_examples=50, deadline=None)
def test_a_destroy_deletes_nothing_before_what_depends_on_it(nodes: tuple[Node, ...]) -> None:
    async def scenario() -> None:
        cloud = MemoryCloud()
        await bring_to(cloud, nodes, FENCE)
        cloud.writes.clear()

        await destroy(engine_for(cloud, *nodes), STACK, LAST)

        deleted = [each for each in cloud.writes if each.startswith("delete")]
        at = {named(each.removeprefix("delete ")): index for index, each in enumerate(deleted)}
        assert all(at[each.urn] < at[needed] for each in nodes for needed in each.dependencies)

    run_virtual(scenario())


async def test_a_change_of_what_cannot_change_in_place_deletes_first_and_makes_again() -> None:
    cloud = MemoryCloud()
    await bring_to(cloud, (node("a", replace_on=["size"], size=1),), FENCE)

    graph = Graph((node("a", replace_on=["size"], size=2),), {})
    changes = planned_changes(cloud.states[STACK], graph).values()
    steps = planned_steps(cloud.states[STACK], graph)

    assert [(change.action, change.paths) for change in changes] == [("replace", ("size",))]
    assert [step.action for step in steps] == ["delete", "create"]


async def test_a_replacement_carries_on_to_those_that_cannot_take_another_reference() -> None:
    def both(size: int) -> tuple[Node, ...]:
        return (
            node("a", replace_on=["size"], size=size),
            node("b", replace_on=["link"], link="<-a.id"),
            node("c", link="<-a.id"),
        )

    cloud = MemoryCloud()
    await bring_to(cloud, both(1), FENCE)

    changes = planned_changes(cloud.states[STACK], Graph(both(2), {})).values()
    steps = planned_steps(cloud.states[STACK], Graph(both(2), {}))

    assert {change.name: change.action for change in changes} == {
        "a": "replace", "b": "replace", "c": "update",
    }  # fmt: skip
    assert [(step.name, step.action) for step in steps] == [
        ("b", "delete"), ("a", "delete"), ("a", "create"), ("b", "create"), ("c", "update"),
    ]  # fmt: skip


async def test_an_update_whose_references_turn_out_the_same_writes_nothing() -> None:
    def both(size: int) -> tuple[Node, ...]:
        return (node("a", replace_on=["size"], size=size), node("c", link="<-a.id"))

    cloud = MemoryCloud()
    await bring_to(cloud, both(1), FENCE)
    cloud.writes.clear()

    await bring_to(cloud, both(2), LATER)

    assert [each for each in cloud.writes if not each.startswith("save")] == [
        "delete a", "create a",
    ]  # fmt: skip


async def test_the_paths_of_a_change_name_what_differs_inside() -> None:
    cloud = MemoryCloud()
    before = node("a", tags={"x": 1, "y": 2}, rows=[{"k": 1}, {"k": 2}], gone=1)
    await bring_to(cloud, (before,), FENCE)

    after = node("a", tags={"x": 1, "y": 3}, rows=[{"k": 1}, {"k": 5}], new=1)
    preview = await engine_for(cloud, after).preview(STACK, inputs())

    assert preview.changes[0].paths == ("gone", "new", "rows[1].k", "tags.y")


async def test_a_type_that_the_engine_cannot_make_is_refused_by_the_plan() -> None:
    strange = Node(named("a"), "azure-native:x:Y", "a", {})

    preview = await engine_for(MemoryCloud(), strange).preview(STACK, inputs())

    assert [(each.code, each.received) for each in preview.refusals] == [
        ("ProviderMissing", "azure-native:x:Y")
    ]
    assert preview.monthly_cost is None


async def test_the_children_of_what_is_retained_stay_and_others_that_need_it_go() -> None:
    account = node("account")
    child = Node(
        urn(STACK, "test", f"{THING}${THING}", "database"), THING, "database", {}, (account.urn,)
    )
    user = node("user", needs=["account"])
    cloud = MemoryCloud()
    await bring_to(cloud, (account, child, user), FENCE)

    finished = await destroy(engine_for(cloud), STACK, LATER, DestroyPlan(retain=("account",)))

    assert {each.name for each in finished.left} == {"account", "database"}
    assert {each.name for each in cloud.resources.values()} == {"account", "database"}


def test_a_record_in_which_two_resources_need_each_other_can_be_deleted() -> None:
    # An update that failed between two steps leaves dependencies of two graphs.
    record = tuple(
        RecordedResource(named(name), THING, name, {}, dependencies=(named(needed),))
        for name, needed in (("a", "b"), ("b", "a"))
    )

    steps = planned_steps(StackState(STACK, resources=record), Graph((), {}))

    assert sorted(step.name for step in steps) == ["a", "b"]
