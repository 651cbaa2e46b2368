"""Of those that wait the kind decides who is next, within a kind who came first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.deployments.model import module_queue
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from shared.contracts.deployments import DeploymentKind
from shared.contracts.strategies import OnConflict
from tests.deployments.driven import CART, SHOP, TEST, WEB
from tests.deployments.test_one_change_per_module import claim

K = DeploymentKind
ORDER = [K.RELOCATION, K.ROLLBACK, K.SECRET, K.RELEASE, K.CONFIGURATION, K.REPAIR]


@dataclass
class Queue:
    """A queue with what came and what started, in their order."""

    target: DeploymentTarget = field(default_factory=lambda: DeploymentTarget(TEST))
    came: list[QueueEntry] = field(default_factory=list)
    began: list[str] = field(default_factory=list)

    def enter(self, kind: DeploymentKind, modules: Sequence[str]) -> None:
        entry = claim(f"d{len(self.came)}", *modules, kind=kind)
        self.came.append(entry)
        self._take(*module_queue.enqueue(self.target, entry, OnConflict.QUEUE))

    def end(self, number: int) -> None:
        """End one of those that have started."""
        at_work = [each for each in self.target.queue if each.token]
        if at_work:
            gone = at_work[number % len(at_work)].deployment
            self._take(*module_queue.dequeue(self.target, gone))

    def _take(self, target: DeploymentTarget, admitted: Sequence[QueueEntry]) -> None:
        self.target = target
        self.began += [each.deployment for each in admitted]


_ENTER = st.tuples(
    st.sampled_from(ORDER), st.lists(st.sampled_from([SHOP, CART, WEB]), min_size=1, unique=True)
)
_STEPS = st.lists(st.one_of(_ENTER, st.integers(0, 5)), max_size=30)


def played(steps: Sequence[tuple[DeploymentKind, Sequence[str]] | int]) -> Queue:
    queue = Queue()
    for step in steps:
        if isinstance(step, int):
            queue.end(step)
        else:
            queue.enter(*step)
    return queue


def test_each_kind_stands_before_the_next() -> None:
    queue = Queue()
    queue.enter(K.RELEASE, [SHOP])
    for kind in reversed(ORDER):
        queue.enter(kind, [SHOP])

    assert [each.kind for each in queue.target.queue] == [K.RELEASE, *ORDER]
    assert queue.began == ["d0"]


def test_every_kind_of_deployment_has_its_place() -> None:
    assert set(module_queue.RANKS) == set(DeploymentKind)


@given(_STEPS)
def test_no_two_that_change_one_module_are_at_work_at_once(
    steps: Sequence[tuple[DeploymentKind, Sequence[str]] | int],
) -> None:
    queue = played(steps).target.queue

    at_work = [module for each in queue if each.token for module in each.modules]
    assert len(at_work) == len(set(at_work))


@given(_STEPS)
def test_none_overtakes_an_older_one_of_its_kind_with_which_it_shares_a_module(
    steps: Sequence[tuple[DeploymentKind, Sequence[str]] | int],
) -> None:
    queue = played(steps)

    began: Mapping[str, int] = {name: place for place, name in enumerate(queue.began)}
    for place, later in enumerate(queue.came):
        for older in queue.came[:place]:
            if later.kind is older.kind and {*later.modules} & {*older.modules}:
                never = len(began)
                assert began.get(older.deployment, never) <= began.get(later.deployment, never)


@given(_STEPS)
def test_a_waiting_one_waits_for_one_that_is_at_work_or_stands_before_it(
    steps: Sequence[tuple[DeploymentKind, Sequence[str]] | int],
) -> None:
    target = played(steps).target

    for place, entry in enumerate(target.queue):
        holder = module_queue.holder_of(target, entry.deployment)
        before = {each.deployment for each in target.queue[:place]}
        assert (holder is None) == bool(entry.token)
        assert holder is None or holder[1] in before


@given(_STEPS)
def test_when_nothing_more_comes_each_one_has_its_turn(
    steps: Sequence[tuple[DeploymentKind, Sequence[str]] | int],
) -> None:
    queue = played(steps)

    for _ in range(len(queue.came)):
        queue.end(0)

    assert sorted(queue.began) == sorted(each.deployment for each in queue.came)
    assert queue.target.queue == ()


@pytest.mark.parametrize("kind", ORDER, ids=str)
def test_what_has_started_is_interrupted_by_no_kind(kind: DeploymentKind) -> None:
    """Also where it started after another one that waits."""
    queue = Queue()
    queue.enter(K.REPAIR, [SHOP])
    queue.enter(K.REPAIR, [SHOP])
    queue.enter(K.REPAIR, [WEB])
    queue.enter(kind, [WEB])

    assert queue.began == ["d0", "d2"]
