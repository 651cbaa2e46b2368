"""Events twice, late and in any order leave the same targets."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.health.watching import health
from tests.kit.told import WEB, ended, released
from tests.kit.virtual_time import run_virtual

API = "module-api"
STORY = (
    ended(1, [released(revision=1), released(API, revision=1)]),
    ended(2, [released(revision=2)]),
    ended(3, [released(revision=2)], rolled_back=True),
    ended(4, [], removed=[WEB]),
    ended(5, [released(revision=3)]),
    ended(6, [], rolled_back=True, modules=[API]),
)


async def told_in(order: list[int]) -> list[Any]:
    made = health()
    for place in order:
        await made.hear(STORY[place], event_id=f"evt-0000000{place}-0000-4000-8000-000000000000")
        await made.settle()
    found = []
    for module in (WEB, API):
        document = await made.document(module)
        body = dict(document.body) if document else {}
        body.pop("revision", None)
        found.append(body)
    return found


IN_ORDER = run_virtual(told_in(list(range(len(STORY)))))
ANY_ORDER = st.permutations(range(len(STORY))).flatmap(
    lambda order: st.lists(st.sampled_from(order), max_size=4).map(lambda more: [*order, *more])
)


@given(ANY_ORDER)
@settings(max_examples=40, deadline=None)
def test_any_order_and_number_of_deliveries_leaves_the_same_targets(order: list[int]) -> None:
    assert run_virtual(told_in(order)) == IN_ORDER


def test_the_story_ends_with_one_service_probed_and_one_retired() -> None:
    web, api = IN_ORDER

    assert "dueAt" in web
    assert "dueAt" not in api
    assert web["release_revision"] == 3
