"""One change in flight per module: claims are served in order, and only a rollback interrupts."""

from dataclasses import replace

import pytest

from function_apps.deployments.errors import QueueFull, QueueTaken
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.holds import HoldRef
from function_apps.deployments.model.target import Claim, ModuleState, Target
from shared.contracts.deployments import DeploymentKind
from shared.contracts.strategies import OnConflict
from shared.kernel.ids import DeploymentId, ModuleId, OperationId
from tests.deployments.driven import CART, SHOP, TEST, WEB

RELEASE, ROLLBACK = DeploymentKind.RELEASE, DeploymentKind.ROLLBACK


def claim(name: str, *modules: str, kind: DeploymentKind = RELEASE) -> Claim:
    return Claim(
        DeploymentId(name),
        OperationId(f"op-{name}"),
        tuple(ModuleId(module) for module in modules),
        kind,
        key=name,
        content=name,
    )


def entered(*claims: Claim, on: OnConflict = OnConflict.QUEUE) -> Target:
    target = Target(TEST)
    for one in claims:
        target, _ = targets.admit(targets.enter(target, one, on))
    return target


def started(target: Target) -> list[str]:
    return [one.deployment for one in target.claims if one.token]


def test_a_deployment_starts_when_it_is_first_in_all_its_queues() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP, CART), claim("c", CART), claim("d", WEB))

    assert started(target) == ["a", "d"]


def test_the_next_in_all_queues_starts_when_one_ends() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP, CART), claim("c", CART))

    after, admitted = targets.leave(target, "a")

    assert [one.deployment for one in admitted] == ["b"]
    assert started(after) == ["b"]


def test_every_start_has_a_higher_token_than_all_before() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP), claim("c", WEB))
    target, _ = targets.leave(target, "a")

    tokens = {one.deployment: one.token for one in target.claims}

    assert tokens == {"b": 3, "c": 2}
    assert target.fence == 3


def test_a_rollback_is_served_before_all_that_wait_and_interrupts_nothing() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP), claim("r", SHOP, kind=ROLLBACK))

    assert [one.deployment for one in target.claims] == ["a", "r", "b"]
    assert started(target) == ["a"]
    assert targets.holder_of(target, "b") == (SHOP, "a")


def test_reject_names_the_holder() -> None:
    with pytest.raises(QueueTaken) as refused:
        entered(claim("a", SHOP), claim("b", CART, SHOP), on=OnConflict.REJECT)

    assert refused.value.holder == "a"


def test_a_passed_on_right_has_a_new_token() -> None:
    target = entered(claim("a", SHOP))

    after, token = targets.pass_on(target, "a", OperationId("op-new"))

    assert token > target.claims[0].token
    assert (after.claims[0].operation, after.claims[0].token) == ("op-new", token)


def test_the_queue_has_a_bound() -> None:
    target = replace(Target(TEST), claims=(claim("a", SHOP),) * targets.CLAIMS_MAX)

    with pytest.raises(QueueFull):
        targets.enter(target, claim("b", SHOP), OnConflict.QUEUE)


def test_a_module_takes_at_most_200_bytes_of_the_target() -> None:
    import json

    deployment = DeploymentId("dep-abcdefghijkl-0123456789abcdef")
    modules = [ModuleId(f"module-service-{number:03d}") for number in range(100)]
    state = ModuleState(12, 13, deployment, "0123456789abcdef")
    target = replace(Target(TEST), modules=dict.fromkeys(modules, state))
    ref = HoldRef("0123456789abcdef", deployment)
    held = replace(target, holds=dict.fromkeys(modules[:30], (ref,)))

    size = len(json.dumps(targets.to_body(held), separators=(",", ":")))

    assert size <= 200 * len(modules)


def test_what_is_written_of_a_target_is_read_back() -> None:
    deployment = DeploymentId("dep-abcdefghijkl-0123456789abcdef")
    known = replace(
        claim(deployment, SHOP), operation=OperationId("op-deployments-abcdefghijkl-" + "0" * 16)
    )
    holds = {ModuleId(SHOP): (HoldRef("0123456789abcdef", deployment),)}
    target = replace(entered(known), holds=holds)

    assert targets.from_body(targets.to_body(target), TEST) == target
