"""After a rotation has failed: bindings say what runs, and its version can be taken up again."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, RANDOM, VAULT, SecretBindings, secret_bindings
from tests.secret_bindings.followers import Followers, consumers, follow

WEB, CART = "module-web", "module-cart"


async def _failed_in_its_overlap() -> tuple[SecretBindings, Followers, str, Mapping[str, Any]]:
    """Have WEB rolled back in the overlap, and refuse to follow again."""
    on = await secret_bindings()
    followers, binding = await consumers(on, WEB, generator=RANDOM)
    asked = await on.rotate(binding, overlap="PT1H")
    rotating = asyncio.ensure_future(followers.finish())
    await on.app.service.clock.sleep(60)
    await followers.release(WEB, asked["fromVersion"])
    followers.verdict = lambda _: "refuse"
    await rotating
    followers.verdict = follow
    return on, followers, binding, await on.rotation(asked["rotationId"])


async def _enabled(on: SecretBindings) -> Mapping[str, bool]:
    versions = await on.app.vaults.at(VAULT).versions(NAME)
    return {each.version: each.enabled for each in versions}


def test_a_rotation_that_failed_in_its_overlap_is_taken_up_again_with_its_version() -> None:
    async def main() -> Any:
        on, followers, binding, failed = await _failed_in_its_overlap()
        again = await followers.rotate(binding, version=failed["toVersion"])
        return failed, again, await _enabled(on), on.told("RuntimeAlertCleared")

    failed, again, enabled, cleared = run_virtual(main())

    assert (failed["status"], again["status"]) == ("Failed", "Revoked")
    assert enabled == {failed["fromVersion"]: False, failed["toVersion"]: True}
    assert len(cleared) == 1


@pytest.mark.parametrize("way", ["cancelled", "unusable", "abandoned"])
def test_so_it_is_after_another_one_that_came_to_nothing(way: str) -> None:
    async def main() -> Any:
        on, followers, binding, failed = await _failed_in_its_overlap()
        if way == "unusable":
            await followers.rotate(binding, version="f" * 32)
        else:
            nothing = await on.rotate(binding)
            end = on.cancel if way == "cancelled" else on.abandon
            if way == "abandoned":
                on.bench.starts.started.clear()
            await end(nothing["operationId"])
            await followers.finish()
        return await followers.rotate(binding, version=failed["toVersion"])

    assert run_virtual(main())["status"] == "Revoked"


def test_whoever_comes_up_with_its_version_afterwards_is_given_it() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, generator=RANDOM)
        followers.verdict = lambda _: "ignore"
        failed = await followers.rotate(binding)
        await followers.release(WEB, failed["toVersion"])
        return failed, await on.binding(binding), on.told("SecretBound")[-1]

    failed, binding, told = run_virtual(main())

    assert failed["status"] == "Failed"
    assert binding["version"] == told["version"] == failed["toVersion"]


def test_whoever_goes_back_to_the_version_of_before_is_given_that() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, _ = await consumers(on, WEB, CART, generator=RANDOM)
        binding = (await on.bind(moduleId=WEB, generator=RANDOM))["bindingId"]
        followers.verdict = lambda _: "follow" if len(followers.told) == 1 else "refuse"
        failed = await followers.rotate(binding)
        (first,) = (each for each in failed["consumers"] if each["version"] == failed["toVersion"])
        given = (await on.binding(first["bindingId"]))["version"]
        await followers.release(first["moduleId"], failed["fromVersion"])
        return failed, given, (await on.binding(first["bindingId"]))["version"]

    failed, given, after = run_virtual(main())

    assert (failed["status"], given) == ("Failed", failed["toVersion"])
    assert after == failed["fromVersion"]


async def _looks_that_rotate(on: SecretBindings, followers: Followers, looks: int) -> int:
    """Look at the vault so often; return how many rotations that began."""
    begun = 0
    for _ in range(looks):
        await on.watch(3600)
        begun += len(on.bench.starts.started)
        await followers.finish()
    return begun


def test_a_version_that_somebody_set_and_no_consumer_takes_is_not_rotated_to_again() -> None:
    async def main() -> int:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, generator=RANDOM)
        await on.app.service.clock.sleep(1)
        await on.set_by_hand()
        followers.verdict = lambda _: "refuse"
        await _looks_that_rotate(on, followers, 1)
        await followers.rotate(binding, version="f" * 32)
        return await _looks_that_rotate(on, followers, 2)

    assert run_virtual(main()) == 0


def test_two_such_versions_are_not_rotated_to_in_turns() -> None:
    async def main() -> int:
        on = await secret_bindings()
        followers, _ = await consumers(on, WEB, generator=RANDOM)
        followers.verdict = lambda _: "refuse"
        begun = 0
        for value in ("first", "second"):
            await on.app.service.clock.sleep(1)
            await on.set_by_hand(value)
            begun += await _looks_that_rotate(on, followers, 3)
        return begun

    assert run_virtual(main()) == 2


def test_a_version_that_a_person_tries_once_more_brings_no_other_up_again() -> None:
    async def main() -> int:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, generator=RANDOM)
        followers.verdict = lambda _: "refuse"
        versions = []
        for value in ("first", "second"):
            await on.app.service.clock.sleep(1)
            versions.append(await on.set_by_hand(value))
            await _looks_that_rotate(on, followers, 1)
        await followers.rotate(binding, version=versions[0])
        return await _looks_that_rotate(on, followers, 3)

    assert run_virtual(main()) == 0


async def _cancelled(on: SecretBindings, followers: Followers, rotation: Mapping[str, Any]) -> Any:
    """Cancel *rotation* while its consumers are told; return it."""
    rotating = asyncio.ensure_future(followers.finish())
    await on.app.service.clock.sleep(3)
    await on.cancel(rotation["operationId"])
    await rotating
    return await on.rotation(rotation["rotationId"])


def test_a_rotation_back_to_the_version_in_force_that_fails_brings_nothing_up_again() -> None:
    async def main() -> int:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, CART, generator=RANDOM)
        before = (await on.binding(binding))["version"]
        await on.app.service.clock.sleep(1)
        await on.set_by_hand()
        followers.verdict = lambda _: "follow" if len(followers.told) == 1 else "refuse"
        await _looks_that_rotate(on, followers, 1)
        followers.verdict = lambda _: "ignore"
        await _cancelled(on, followers, await on.rotate(binding, version=before))
        return await _looks_that_rotate(on, followers, 2)

    assert run_virtual(main()) == 0


def test_whoever_comes_up_with_it_while_the_next_one_is_in_flight_is_given_it() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, generator=RANDOM)
        followers.verdict = lambda _: "ignore"
        first = await _cancelled(on, followers, await on.rotate(binding))
        second = await on.rotate(binding)
        rotating = asyncio.ensure_future(followers.finish())
        await on.app.service.clock.sleep(1)
        await followers.release(WEB, first["toVersion"])
        await on.cancel(second["operationId"])
        await rotating
        return first["toVersion"], (await on.binding(binding))["version"]

    runs, given = run_virtual(main())

    assert given == runs


def test_a_binding_that_begins_again_is_not_given_what_no_consumer_took() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, generator=RANDOM)
        followers.verdict = lambda _: "refuse"
        failed = await followers.rotate(binding)
        await on.revoke(binding)
        again = await on.bind(moduleId=WEB, generator=RANDOM)
        return failed, again["version"]

    failed, given = run_virtual(main())

    assert given == failed["fromVersion"]
