"""One change in flight per module: claims are served in order, and only a rollback interrupts."""

from dataclasses import replace

import pytest

from function_apps.deployments.errors import QueueFull, QueueTaken
from function_apps.deployments.model import module_queue
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    ModuleState,
    QueueEntry,
)
from function_apps.deployments.model.holds import HoldRef
from function_apps.deployments.repository import TARGETS
from shared.contracts.deployments import DeploymentKind
from shared.contracts.strategies import OnConflict
from shared.kernel.ids import DeploymentId, ModuleId, OperationId
from tests.deployments.driven import CART, SHOP, TEST, WEB

RELEASE, ROLLBACK = DeploymentKind.RELEASE, DeploymentKind.ROLLBACK


def claim(name: str, *modules: str, kind: DeploymentKind = RELEASE) -> QueueEntry:
    return QueueEntry(
        DeploymentId(name),
        OperationId(f"op-{name}"),
        tuple(ModuleId(module) for module in modules),
        kind,
        key=name,
        content=name,
    )


def entered(*claims: QueueEntry, on: OnConflict = OnConflict.QUEUE) -> DeploymentTarget:
    target = DeploymentTarget(TEST)
    for one in claims:
        target, _ = module_queue.enqueue(target, one, on)
    return target


def started(target: DeploymentTarget) -> list[str]:
    return [one.deployment for one in target.queue if one.token]


def test_a_deployment_starts_when_it_is_first_in_all_its_queues() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP, CART), claim("c", CART), claim("d", WEB))

    assert started(target) == ["a", "d"]


def test_the_next_in_all_queues_starts_when_one_ends() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP, CART), claim("c", CART))

    after, admitted = module_queue.dequeue(target, "a")

    assert [one.deployment for one in admitted] == ["b"]
    assert started(after) == ["b"]


def test_every_start_has_a_higher_token_than_all_before() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP), claim("c", WEB))
    target, _ = module_queue.dequeue(target, "a")

    tokens = {one.deployment: one.token for one in target.queue}

    assert tokens == {"b": 3, "c": 2}
    assert target.fence == 3


def test_a_rollback_is_served_before_all_that_wait_and_interrupts_nothing() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP), claim("r", SHOP, kind=ROLLBACK))

    assert [one.deployment for one in target.queue] == ["a", "r", "b"]
    assert started(target) == ["a"]
    assert module_queue.holder_of(target, "b") == (SHOP, "a")


def test_reject_names_the_holder() -> None:
    with pytest.raises(QueueTaken) as refused:
        entered(claim("a", SHOP), claim("b", CART, SHOP), on=OnConflict.REJECT)

    assert refused.value.holder == "a"


def test_a_passed_on_right_has_a_new_token() -> None:
    target = entered(claim("a", SHOP))

    after, token = module_queue.transfer_ownership(target, "a", OperationId("op-new"))

    assert token > target.queue[0].token
    assert (after.queue[0].operation, after.queue[0].token) == ("op-new", token)


def test_the_queue_has_a_bound() -> None:
    target = replace(DeploymentTarget(TEST), queue=(claim("a", SHOP),) * module_queue.ENTRIES_MAX)

    with pytest.raises(QueueFull):
        module_queue.enqueue(target, claim("b", SHOP), OnConflict.QUEUE)


def test_a_module_takes_at_most_200_bytes_of_the_target() -> None:
    import json

    deployment = DeploymentId("dep-abcdefghijkl-0123456789abcdef")
    modules = [ModuleId(f"module-service-{number:03d}") for number in range(100)]
    state = ModuleState(12, 13, deployment, "0123456789abcdef")
    target = replace(DeploymentTarget(TEST), modules=dict.fromkeys(modules, state))
    ref = HoldRef("0123456789abcdef", deployment)
    held = replace(target, holds=dict.fromkeys(modules[:30], (ref,)))

    size = len(json.dumps(TARGETS.encode(held), separators=(",", ":")))

    assert size <= 200 * len(modules)


def test_what_is_written_of_a_target_is_read_back() -> None:
    deployment = DeploymentId("dep-abcdefghijkl-0123456789abcdef")
    known = replace(
        claim(deployment, SHOP), operation=OperationId("op-deployments-abcdefghijkl-" + "0" * 16)
    )
    holds = {ModuleId(SHOP): (HoldRef("0123456789abcdef", deployment),)}
    target = replace(entered(known), holds=holds)

    assert TARGETS.decode(TARGETS.encode(target)) == target
