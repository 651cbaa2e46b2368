"""What a consumer runs is what the instances of its last release proved, in any order of events."""

from itertools import permutations
from typing import Any

import pytest

from function_apps.secret_bindings.model.secret_head import Consumer, Rejection
from function_apps.secret_bindings.repository import HEADS
from shared.kernel.ids import EnvironmentKey, secret_key
from shared.persistence.store import Partition
from tests.kit.service import TENANT
from tests.kit.told import KEY, WEB, deployment_of, ended
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import (
    NAME,
    RANDOM,
    VAULT,
    SecretBindings,
    running,
    secret_bindings,
)

OLD, NEW = "0" * 32, "1" * 32


async def consumer(on: SecretBindings, binding_id: str) -> Consumer:
    key = secret_key(VAULT, NAME)
    document = HEADS.document_id(key)
    view = await on.app.service.work.read(Partition(TENANT, EnvironmentKey(KEY)), document)
    head = view.find(HEADS, key)
    assert head is not None
    found = head.consumer(binding_id)
    assert found is not None
    return found


async def _after(*events: Any) -> Consumer:
    on = await secret_bindings()
    binding = await on.bind(generator=RANDOM)
    for event in events:
        await on.hear(event)
    return await consumer(on, binding["bindingId"])


def test_a_release_whose_instances_have_the_version_proves_it() -> None:
    found = run_virtual(_after(running(1, {NAME: OLD})))

    assert (found.is_running, found.release_revision, found.version) == (True, 1, OLD)


def test_one_instance_with_another_version_is_no_proof() -> None:
    found = run_virtual(_after(running(1, {NAME: NEW}, proved={NAME: OLD})))

    assert (found.is_running, found.version) == (True, None)


def test_a_release_without_the_secret_needs_no_proof() -> None:
    found = run_virtual(_after(running(1, {})))

    assert not found.is_running


def test_a_release_that_was_rolled_back_proves_what_was_restored() -> None:
    found = run_virtual(
        _after(
            running(1, {NAME: OLD}),
            running(2, {NAME: NEW}),
            running(3, {NAME: OLD}, rejected={NAME: NEW}),
        )
    )

    why = f"{deployment_of(3)} ended as RolledBack"
    assert (found.version, found.rejected) == (OLD, Rejection(NEW, why=why))


STORY = (
    running(1, {NAME: OLD}),
    running(2, {NAME: NEW}),
    ended(3, [], removed=[WEB]),
    running(4, {NAME: OLD}),
)


@pytest.mark.parametrize(
    "order", [*permutations(range(len(STORY)))], ids=lambda order: "".join(map(str, order))
)
def test_events_say_the_same_in_any_order_and_twice(order: tuple[int, ...]) -> None:
    told = [STORY[index] for index in order]

    found = run_virtual(_after(*told, *told))

    assert (found.is_running, found.release_revision, found.version) == (True, 4, OLD)


def test_a_module_that_was_removed_needs_no_proof() -> None:
    assert not run_virtual(_after(*STORY[:3])).is_running


def test_a_binding_that_was_revoked_is_no_consumer() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        binding = await on.bind(generator=RANDOM)
        await on.revoke(binding["bindingId"])
        await on.hear(running(1, {NAME: OLD}))
        with pytest.raises(AssertionError):
            await consumer(on, binding["bindingId"])

    run_virtual(main())
