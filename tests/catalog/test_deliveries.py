"""Events twice, late and in any order leave the same inventory; each row names its cause."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.catalog import RecordRelease
from shared.contracts.deployments import DeploymentEnded
from shared.messaging.fan_out import releases_of
from tests.catalog.inventory import Catalog, catalog
from tests.kit.told import WEB, deployment_of, ended, released
from tests.kit.virtual_time import run_virtual

API = "module-api"
STORY = (
    ended(1, [released(revision=1), released(API, revision=1)]),
    ended(2, [released(revision=2)]),
    ended(3, [released(revision=2)], rolled_back=True),
    ended(4, [], removed=[WEB]),
    ended(5, [released(revision=3), released(API, revision=2)]),
    ended(6, [], rolled_back=True, modules=[API]),
)


def without_times(value: Any) -> Any:
    match value:
        case dict():
            skipped = {"known_from", "revision"}
            return {key: without_times(each) for key, each in value.items() if key not in skipped}
        case list() | tuple():
            return [without_times(each) for each in value]
        case _:
            return value


async def inventory(made: Catalog) -> list[Any]:
    """Return the heads and the rows of both modules, up to when they became known."""
    return [
        (document.id, without_times(dict(document.body)))
        for module in (WEB, API)
        for document in await made.documents(module)
        if document.body["type"] in {"service", "tombstone", "history"}
    ]


async def told_in(order: list[int]) -> list[Any]:
    made = catalog()
    for place in order:
        await made.hear(STORY[place], event_id=f"evt-0000000{place}-0000-4000-8000-000000000000")
        await made.settle()
    return await inventory(made)


IN_ORDER = run_virtual(told_in(list(range(len(STORY)))))
ANY_ORDER = st.permutations(range(len(STORY))).flatmap(
    lambda order: st.lists(st.sampled_from(order), max_size=4).map(lambda more: [*order, *more])
)


@pytest.mark.long
@given(ANY_ORDER)
@settings(max_examples=40, deadline=None)
def test_any_order_and_number_of_deliveries_leaves_the_same_inventory(order: list[int]) -> None:
    assert run_virtual(told_in(order)) == IN_ORDER


@given(st.permutations(range(len(STORY))))
@settings(max_examples=15, deadline=None)
def test_the_commands_of_an_event_may_come_in_any_order_and_twice(order: list[int]) -> None:
    async def main() -> list[Any]:
        made = catalog()
        for each in STORY:
            await made.hear(each)
        commands = made.commands()
        for place in order:
            for envelope in commands[place :: len(STORY)] * 2:
                await made.dispatcher.dispatch(envelope)
        return await inventory(made)

    assert run_virtual(main()) == IN_ORDER


def test_the_same_fact_in_another_message_changes_nothing() -> None:
    async def main() -> tuple[list[Any], list[Any], int]:
        made = catalog()
        await made.hear_all(STORY[0])
        before = [vars(each) for each in await made.documents() if "inbox" not in each.id]
        made.bench.sent.messages.clear()
        await made.hear_all(STORY[0])
        after = [vars(each) for each in await made.documents() if "inbox" not in each.id]
        return before, after, len(made.bench.sent.bodies("RuntimeInventoryUpdated"))

    before, after, told = run_virtual(main())

    assert (after, told) == (before, 0)


def test_a_revision_that_is_told_never_goes_back() -> None:
    async def main() -> list[tuple[str, int]]:
        made = catalog()
        await made.hear_all(*reversed(STORY), *STORY)
        told = made.bench.sent.bodies("RuntimeInventoryUpdated")
        return [(each["payload"]["serviceId"], each["payload"]["revision"]) for each in told]

    told = run_virtual(main())

    assert told
    for service in {service for service, _ in told}:
        revisions = [revision for each, revision in told if each == service]
        assert revisions == sorted(set(revisions))


def test_each_row_says_which_deployment_it_comes_from() -> None:
    async def main() -> list[tuple[str, str, str]]:
        made = catalog()
        await made.hear_all(*STORY)
        rows = [each.body for each in await made.documents() if each.body["type"] == "history"]
        return [(row["status"], row["cause_kind"], row["cause_id"]) for row in rows]

    assert run_virtual(main()) == [
        ("Running", "deployment", deployment_of(1)),
        ("Running", "deployment", deployment_of(2)),
        ("Running", "rollback", deployment_of(3)),
        ("Retired", "deployment", deployment_of(4)),
        ("Running", "deployment", deployment_of(5)),
    ]


def test_a_removal_that_comes_before_its_release_is_remembered() -> None:
    async def main() -> list[str]:
        made = catalog()
        await made.hear_all(ended(4, [], removed=[WEB]))
        unknown = [each.body["type"] for each in await made.documents() if each.id == "service"]
        await made.hear_all(ended(1, [released()]))
        head = next(each for each in await made.documents() if each.id == "service")
        return [*unknown, head.body["type"], head.body["status"]]

    assert run_virtual(main()) == ["tombstone", "service", "Retired"]


def test_a_deployment_of_many_modules_is_split_into_pages_without_loss() -> None:
    modules = [f"module-m{number}" for number in range(25)]
    removed = [f"module-r{number}" for number in range(20)]
    event = ended(1, [released(module) for module in modules], removed=removed)

    async def main() -> list[str]:
        made = catalog()
        await made.hear(event)
        return [str(each.module_id) for each in made.commands()]

    assert sorted(run_virtual(main())) == sorted([*modules, *removed])


@pytest.mark.parametrize(
    ("event", "said"),
    [
        pytest.param(STORY[0], {WEB: True, API: True}, id="completed"),
        pytest.param(STORY[3], {WEB: False}, id="removed"),
        pytest.param(STORY[5], {API: False}, id="nothing-to-go-back-to"),
    ],
)
def test_the_end_of_a_deployment_says_of_each_module_whether_it_runs(
    event: DeploymentEnded, said: dict[str, bool]
) -> None:
    found = releases_of(event, RecordRelease)

    assert {each.module_id: each.component is not None for each in found} == said
