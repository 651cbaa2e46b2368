"""One change in flight per module: claims are served in order, and only a rollback interrupts."""

from dataclasses import replace

import pytest

from function_apps.deployments.errors import Held, QueueFull, QueueTaken
from function_apps.deployments.model import target as targets
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


def test_a_hold_is_on_one_digest_of_one_module_until_it_is_released() -> None:
    digest, other = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    target = targets.hold(Target(TEST), [(ModuleId(SHOP), digest)], DeploymentId("dep"))

    with pytest.raises(Held, match="release-hold"):
        targets.refuse_held(target, [(ModuleId(SHOP), digest)])

    targets.refuse_held(target, [(ModuleId(SHOP), other), (ModuleId(CART), digest)])
    targets.refuse_held(targets.release_holds(target, "dep"), [(ModuleId(SHOP), digest)])


def test_a_module_takes_at_most_200_bytes_of_the_target() -> None:
    import json

    deployment = DeploymentId("dep-abcdefghijkl-0123456789abcdef")
    modules = [ModuleId(f"module-service-{number:03d}") for number in range(100)]
    state = ModuleState(12, 13, deployment, "0123456789abcdef")
    target = replace(Target(TEST), modules=dict.fromkeys(modules, state))
    held = targets.hold(target, [(each, "sha256:" + "c" * 64) for each in modules[:30]], deployment)

    size = len(json.dumps(targets.to_body(held), separators=(",", ":")))

    assert size <= 200 * len(modules)


def test_what_is_written_of_a_target_is_read_back() -> None:
    deployment = DeploymentId("dep-abcdefghijkl-0123456789abcdef")
    known = replace(
        claim(deployment, SHOP), operation=OperationId("op-deployments-abcdefghijkl-" + "0" * 16)
    )
    target = targets.hold(entered(known), [(ModuleId(SHOP), "sha256:" + "c" * 64)], deployment)

    assert targets.from_body(targets.to_body(target), TEST) == target
