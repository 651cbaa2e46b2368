"""Old versions end only once the one in force is usable and the resource refuses their logins."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, PASSWORD, RANDOM, SecretBindings, secret_bindings
from tests.secret_bindings.followers import consumers

Happening = Callable[[SecretBindings, Mapping[str, Any]], Awaitable[None]]


async def _rotated(generator: Any, happening: Happening) -> Any:
    """Rotate to the end with *happening* in the overlap; return the service and the rotation."""
    on = await secret_bindings()
    followers, binding = await consumers(on, "module-a", "module-b", generator=generator)
    asked = await on.rotate(binding, overlap="PT1H")
    rotating = asyncio.ensure_future(followers.finish())
    await on.app.service.clock.sleep(600)
    rotation = await on.rotation(asked["rotationId"])
    assert rotation["status"] == "Verified"
    await happening(on, rotation)
    await rotating
    enabled = {each.version: each.enabled for each in await on.vault.versions(NAME)}
    return on, await on.rotation(asked["rotationId"]), enabled


async def _disable_new(on: SecretBindings, rotation: Mapping[str, Any]) -> None:
    await on.vault.set_enabled(NAME, rotation["toVersion"], enabled=False)


async def _disable_old(on: SecretBindings, rotation: Mapping[str, Any]) -> None:
    await on.vault.set_enabled(NAME, rotation["fromVersion"], enabled=False)


async def _remove_login(on: SecretBindings, rotation: Mapping[str, Any]) -> None:
    new = (await on.vault.get(NAME, rotation["toVersion"])).value.reveal()
    on.passwords.logins = {
        user: password for user, password in on.passwords.logins.items() if user not in new
    }


async def _remove_resource(on: SecretBindings, _rotation: Mapping[str, Any]) -> None:
    on.passwords.resources.clear()


async def _move_server(on: SecretBindings, _rotation: Mapping[str, Any]) -> None:
    on.passwords.port += 1


@pytest.mark.parametrize("generator", [RANDOM, PASSWORD], ids=["random", "database"])
def test_nothing_ends_while_the_version_in_force_is_disabled(generator: Any) -> None:
    on, rotation, enabled = run_virtual(_rotated(generator, _disable_new))

    assert (rotation["status"], rotation["reason"]["code"]) == ("Failed", "VersionUnusable")
    assert enabled == {rotation["fromVersion"]: True, rotation["toVersion"]: False}
    assert len(on.passwords.logins) == (2 if generator is PASSWORD else 0)


@pytest.mark.parametrize(
    ("happening", "code"),
    [pytest.param(_remove_login, "PasswordRefused", id="new-login-is-gone"),
     pytest.param(_remove_resource, "ResourceMissing", id="resource-is-gone")],
)  # fmt: skip
def test_what_the_resource_does_not_confirm_fails_the_rotation_and_all_stay_enabled(
    happening: Happening, code: str
) -> None:
    on, rotation, enabled = run_virtual(_rotated(PASSWORD, happening))

    assert (rotation["status"], rotation["reason"]["code"]) == ("Failed", code)
    assert set(enabled.values()) == {True}
    assert on.passwords.logins
    assert on.told("RuntimeAlertRaised")


def test_an_old_login_that_nobody_can_read_is_not_called_revoked() -> None:
    on, rotation, _ = run_virtual(_rotated(PASSWORD, _disable_old))

    assert (rotation["status"], rotation["reason"]["code"]) == ("Failed", "LoginNotRetired")
    assert len(on.passwords.logins) == 2
    assert [each["status"] for each in on.told("SecretRotated")] == ["Verified"]


def test_a_server_that_moved_before_the_rotation_refuses_the_login_of_its_earlier_address() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, "module-a", generator=PASSWORD)
        await _move_server(on, {})
        rotation = await followers.rotate(binding)
        new = (await on.vault.get(NAME, rotation["toVersion"])).value.reveal()
        return rotation, new, on.passwords.logins

    rotation, new, logins = run_virtual(main())

    assert (rotation["status"], len(logins)) == ("Revoked", 1)
    assert next(iter(logins)) in new


def test_a_version_with_no_login_of_ours_is_disabled_alone() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, "module-a", generator=PASSWORD)
        foreign = await on.set_by_hand("no connection string")
        rotation = await followers.rotate(binding)
        enabled = {each.version: each.enabled for each in await on.vault.versions(NAME)}
        return rotation, enabled, foreign, on.passwords.logins

    rotation, enabled, foreign, logins = run_virtual(main())

    assert (rotation["status"], len(logins)) == ("Revoked", 1)
    assert not enabled[foreign]
