"""Every step may run twice, and every step may be cut off, without a second version."""

from contextlib import suppress
from typing import Any

import pytest

from function_apps.secret_bindings.activities import ACTIVITIES
from function_apps.secret_bindings.orchestrations import ORCHESTRATIONS
from function_apps.secret_bindings.repository import BIND, ROTATE
from shared.durable.orchestration import durable_name
from shared.kernel.errors import Unavailable
from tests.environments.driven import stop_at
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, PASSWORD, RANDOM, secret_bindings
from tests.secret_bindings.followers import consumers


def test_every_step_of_a_binding_run_twice_makes_one_version_and_one_event() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.ask(generator=RANDOM)
        outcomes = await on.run_started(twice=True)
        return outcomes, await on.vault.versions(NAME), on.told("SecretBound")

    outcomes, versions, events = run_virtual(main())

    assert (outcomes, len(versions), len(events)) == (["Bound"], 1, 1)


@pytest.mark.parametrize("activity", ["find_version", "complete_binding"])
def test_a_binding_that_was_cut_off_before_a_step_ends_as_if_it_had_not_been(activity: str) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.ask(generator=RANDOM)
        started = on.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await on.run(*started, interfere=stop_at(activity))
        outcome = await on.run(*started)
        return outcome, await on.vault.versions(NAME)

    outcome, versions = run_virtual(main())

    assert (outcome, len(versions)) == ("Bound", 1)


IN_ROTATION = (
    "create_version", "set_at_resource", "test_version", "roll_out", "move_bindings",
    "begin_overlap", "revoke_versions", "complete_rotation",
)  # fmt: skip


async def _rotated(**how: Any) -> Any:
    on = await secret_bindings()
    followers, binding = await consumers(on, "module-a", "module-b", generator=PASSWORD)
    asked = await on.rotate(binding)
    outcomes = await followers.finish(**how)
    rotation = await on.rotation(asked["rotationId"])
    enabled = [each.enabled for each in await on.vault.versions(NAME)]
    return outcomes, rotation, sorted(enabled), len(on.passwords.logins), on.bench.sent.types()


def test_every_step_of_a_rotation_run_twice_gives_the_same_world_and_the_same_events() -> None:
    once, twice = run_virtual(_rotated()), run_virtual(_rotated(twice=True))

    assert once[0] == ["Revoked"]
    assert twice[2:] == once[2:] == ([False, True], 1, once[4])
    assert [each["version"] for each in twice[1]["consumers"]] == [twice[1]["toVersion"]] * 2


@pytest.mark.parametrize("activity", IN_ROTATION)
def test_a_rotation_that_was_cut_off_before_a_step_ends_as_if_it_had_not_been(
    activity: str,
) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, "module-a", "module-b", generator=PASSWORD)
        asked = await on.rotate(binding)
        started = list(on.bench.starts.started)
        with pytest.raises(KeyboardInterrupt):
            await followers.finish(interfere=stop_at(activity))
        on.bench.starts.started[:] = started
        outcomes = await followers.finish()
        rotation = await on.rotation(asked["rotationId"])
        return outcomes, rotation, await on.vault.versions(NAME), on.passwords.logins

    outcomes, rotation, versions, logins = run_virtual(main())

    assert (outcomes, rotation["status"]) == (["Revoked"], "Revoked")
    assert sorted(each.enabled for each in versions) == [False, True]
    assert len(logins) == 1


@pytest.mark.parametrize("activity", IN_ROTATION[:-1])
def test_a_rotation_whose_step_fails_leaves_everybody_with_a_valid_version(activity: str) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, "module-a", "module-b", generator=PASSWORD)
        asked = await on.rotate(binding)

        def interfere(name: str, _count: int) -> None:
            if name == activity:
                on.vault.throttle(1, retry_after_s=1.0)
                on.passwords.away = 1

        outcomes = await followers.finish(interfere=interfere)
        on.passwords.away = 0
        with suppress(Unavailable):
            await on.vault.names()
        rotation = await on.rotation(asked["rotationId"])
        enabled = {each.version: each.enabled for each in await on.vault.versions(NAME)}
        return outcomes, rotation, enabled, on.passwords.logins

    outcomes, rotation, enabled, logins = run_virtual(main())

    assert outcomes in (["Failed"], ["Revoked"])
    for consumer in rotation["consumers"]:
        assert enabled[consumer["version"]]
    assert len(logins) >= 1


def test_each_kind_of_work_names_an_orchestration_that_exists() -> None:
    assert {BIND.orchestration, ROTATE.orchestration} == {
        durable_name(each) for each in ORCHESTRATIONS
    }


def test_every_activity_is_registered_under_a_name_of_its_own() -> None:
    assert len({activity.__name__ for activity in ACTIVITIES}) == len(ACTIVITIES)
