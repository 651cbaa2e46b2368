"""The bounds of the queue of an environment, who stands before whom, and what a repeat is."""

from dataclasses import replace

import pytest

from function_apps.deployments.errors import HoldsFull, QueueFull, QueueTaken
from function_apps.deployments.model import module_queue
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    ModuleState,
    QueueEntry,
)
from function_apps.deployments.model.holds import HoldRef
from function_apps.deployments.model.module_queue import (
    ENTRIES_MAX,
    HOLDS_MAX,
    OUTGOING_MAX,
    has_other_content,
    keys_of,
    repeated_by,
)
from shared.contracts.deployments import Deploy, DeploymentKind
from shared.contracts.releases import ConfigurationPin, ReleasedSecret
from shared.contracts.strategies import OnConflict
from shared.contracts.values import ModuleId, SecretBindingId, SecretDelivery
from shared.kernel.ids import DeploymentId
from tests.deployments.driven import TEST
from tests.deployments.test_one_change_per_module import claim, entered
from tests.kit.releases import a_component
from tests.kit.told import DIGEST

SHOP, CART, WEB = (ModuleId(f"module-{each}") for each in ("shop", "cart", "web"))
PIN = ConfigurationPin(hash="sha256:" + "1" * 64)
SECRET = ReleasedSecret(
    name="db",
    version="2",
    vault_uri="https://kv-shop.vault.azure.net/",
    delivery=SecretDelivery.FILE,
    target="db",
    binding_id=SecretBindingId(f"sec-{TEST.removeprefix('env-')}-abcdefghijkl"),
)


def command(*modules: str, **changes: object) -> Deploy:
    components = [a_component(DIGEST, "1.0", each) for each in modules]
    return Deploy.model_validate(
        {"environmentId": TEST, "releaseRef": "r", "components": components, **changes}
    )


def full(count: int) -> DeploymentTarget:
    entries = tuple(claim(f"d{each}", f"module-m{each}") for each in range(count))
    return replace(DeploymentTarget(TEST), queue=entries)


def held(count: int) -> DeploymentTarget:
    refs = tuple(HoldRef(f"unit-{each}", DeploymentId("d")) for each in range(count))
    return replace(DeploymentTarget(TEST), holds={SHOP: refs})


def test_a_full_queue_takes_rollbacks_only() -> None:
    module_queue.enqueue(full(ENTRIES_MAX - 1), claim("x", SHOP), OnConflict.QUEUE)
    with pytest.raises(QueueFull):
        module_queue.enqueue(full(ENTRIES_MAX), claim("x", SHOP), OnConflict.QUEUE)
    rollback = claim("x", SHOP, kind=DeploymentKind.ROLLBACK)
    after, _ = module_queue.enqueue(full(ENTRIES_MAX), rollback, OnConflict.QUEUE)
    assert after.entry("x") is not None


def test_where_too_much_is_held_only_rollbacks_are_taken() -> None:
    module_queue.enqueue(held(HOLDS_MAX - 1), claim("x", SHOP), OnConflict.QUEUE)
    with pytest.raises(HoldsFull):
        module_queue.enqueue(held(HOLDS_MAX), claim("x", SHOP), OnConflict.QUEUE)
    rollback = claim("x", SHOP, kind=DeploymentKind.ROLLBACK)
    assert module_queue.enqueue(held(HOLDS_MAX), rollback, OnConflict.QUEUE)[1]


def test_reject_names_the_first_module_and_who_has_it() -> None:
    with pytest.raises(QueueTaken) as refused:
        entered(claim("a", SHOP, WEB), claim("b", WEB, SHOP, CART), on=OnConflict.REJECT)
    assert refused.value.holder == "a"
    assert SHOP in refused.value.message
    assert entered(claim("a", SHOP), claim("b", WEB), on=OnConflict.REJECT).entry("b")


def test_the_one_before_is_the_first_that_shares_a_module() -> None:
    target = entered(claim("a", CART), claim("b", SHOP), claim("c", WEB, SHOP))

    assert module_queue.holder_of(target, "c") == (SHOP, "b")
    assert module_queue.holder_of(target, "b") is None
    assert [each.deployment for each in module_queue.ahead_of(target, "c")] == ["a", "b"]
    assert module_queue.ahead_of(target, "a") == ()


def test_no_more_start_at_once_than_a_batch_takes() -> None:
    target, admitted = module_queue.admit_ready(full(OUTGOING_MAX + 1))

    assert len(admitted) == OUTGOING_MAX
    assert target.fence == OUTGOING_MAX
    assert [each.token for each in target.queue] == [*range(1, OUTGOING_MAX + 1), 0]
    assert len(module_queue.admit_ready(target)[1]) == 1


def test_a_wait_is_of_one_deployment_and_ends_with_its_owner() -> None:
    target = module_queue.set_wait(entered(claim("a", SHOP), claim("b", WEB)), "b", "event")

    assert [each.wait for each in target.queue] == ["", "event"]
    assert [each.deployment for each in module_queue.waiting_entries(target)] == ["b"]
    after, fence = module_queue.transfer_ownership(target, "b", "op-new")  # type: ignore[arg-type]
    b = after.entry("b")
    assert b == replace(target.queue[1], operation="op-new", token=fence, wait="")
    assert (after.fence, after.queue[0]) == (fence, target.queue[0])
    assert fence == target.fence + 1


def test_the_order_of_modules_makes_no_other_command() -> None:
    one, other = command(SHOP, WEB), command(WEB, SHOP)

    assert (keys_of(one).natural, keys_of(one).unit) == (
        keys_of(other).natural,
        keys_of(other).unit,
    )
    assert keys_of(one).content != keys_of(other).content


@pytest.mark.parametrize(
    "changed",
    [
        command(SHOP, CART),
        command(SHOP, WEB, remove=[CART]),
        command(SHOP, WEB, environmentId="env-bbbbbbbbbbbb"),
    ],
    ids=["modules", "removals", "environment"],
)
def test_other_modules_or_another_environment_make_another_command(changed: Deploy) -> None:
    assert keys_of(changed).natural != keys_of(command(SHOP, WEB)).natural


def test_values_and_versions_of_secrets_that_are_given_make_another_command() -> None:
    plain = keys_of(command(SHOP))
    pinned = keys_of(command(SHOP), {SHOP: PIN})
    secret = keys_of(command(SHOP), {}, [(SHOP, SECRET)])

    assert len({plain.natural, pinned.natural, secret.natural}) == 3
    assert len({plain.unit, pinned.unit, secret.unit}) == 3
    assert plain.content == pinned.content == secret.content
    assert keys_of(command(SHOP), {}, [(WEB, SECRET)]) == plain
    assert keys_of(command(SHOP), {SHOP: ConfigurationPin()}) == plain


def test_another_version_of_a_secret_has_the_same_base_and_another_place_of_it_has_not() -> None:
    known = keys_of(command(SHOP), {}, [(SHOP, SECRET)])
    changes = {"version": "3"}, {"target": "other"}

    newer, elsewhere = (
        keys_of(command(SHOP), {}, [(SHOP, SECRET.model_copy(update=each))]) for each in changes
    )

    assert newer.natural != known.natural
    assert newer.base == known.base
    assert elsewhere.base != known.base


def test_how_it_is_asked_for_makes_no_other_command() -> None:
    dry = command(SHOP, dryRun=True, onConflict="reject")

    assert keys_of(dry) == keys_of(command(SHOP))


def active(content: str | None = None) -> DeploymentTarget:
    keys = keys_of(command(SHOP))
    entry = replace(claim("a", SHOP), key=keys.natural, content=content or keys.content)
    return replace(DeploymentTarget(TEST), queue=(claim("z", WEB), entry))


def in_force(**changes: object) -> DeploymentTarget:
    state = ModuleState(3, 3, DeploymentId("d-3"), keys_of(command(SHOP)).unit)
    return replace(DeploymentTarget(TEST), modules={SHOP: replace(state, **changes)})  # type: ignore[arg-type]


def test_a_repeat_is_answered_by_what_is_on_its_way() -> None:
    keys = keys_of(command(SHOP))
    assert repeated_by(command(SHOP), keys, active()) == "a"
    assert not has_other_content(DeploymentId("a"), keys, active())
    assert has_other_content(DeploymentId("a"), keys, active("other"))


def test_a_repeat_is_answered_by_what_is_in_force() -> None:
    asked = command(SHOP)

    assert repeated_by(asked, keys_of(asked), in_force()) == "d-3"
    assert repeated_by(asked, keys_of(asked), in_force(key="other")) is None
    assert repeated_by(asked, keys_of(asked), in_force(revision=0)) is None
    again = command(SHOP, restart=True)
    assert repeated_by(again, replace(keys_of(asked)), in_force()) is None
    more = command(SHOP, remove=[WEB])
    assert repeated_by(more, replace(keys_of(asked)), in_force()) is None


def test_a_roll_out_is_known_by_its_modules_in_any_order() -> None:
    assert module_queue.roll_out_key([SHOP, WEB]) == module_queue.roll_out_key([WEB, SHOP])
    assert module_queue.roll_out_key([SHOP]) != module_queue.roll_out_key([WEB])
    assert module_queue.roll_out_key([SHOP]).startswith("configuration ")


def test_who_leaves_lets_the_next_one_start() -> None:
    target = entered(claim("a", SHOP), claim("b", SHOP))

    after, admitted = module_queue.dequeue(target, "a")

    assert [each.deployment for each in admitted] == ["b"]
    assert isinstance(after.queue[0], QueueEntry)
    assert after.queue[0].token == target.fence + 1
