"""Revoked bindings and rotations that ended are kept a year; what is bound stays."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.secret_bindings.errors import BindingNotFound, RotationNotFound
from function_apps.secret_bindings.use_cases.remove_ended import remove_ended_secrets
from shared.contracts.retention import Retention
from tests.kit.stores import all_changes
from tests.kit.told import WEB, environment
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, RANDOM, SecretBindings, running, secret_bindings
from tests.secret_bindings.followers import Followers

YEAR = Retention().ended
HOUR = timedelta(hours=1)


async def passes(on: SecretBindings, time: timedelta) -> None:
    await on.app.service.clock.sleep(time.total_seconds())


async def stored(on: SecretBindings) -> set[str]:
    """Return the kinds of documents that are stored, without what is on its way to others."""
    documents = await all_changes(on.app.service.store)
    return {str(each.body["type"]) for each in documents} - {"outbox"}


def test_a_revoked_binding_is_shown_for_a_year_with_what_is_known_of_its_secret() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        bound = await on.bind(generator=RANDOM)
        await on.revoke(bound["bindingId"])
        await on.watch()
        await passes(on, YEAR - HOUR)
        shown = await on.binding(bound["bindingId"])
        await passes(on, 2 * HOUR)
        with pytest.raises(BindingNotFound):
            await on.binding(bound["bindingId"])
        return shown["status"], await stored(on)

    status, kinds = run_virtual(main())

    assert status == "Revoked"
    # The head of the secret numbers its rotations, until its environment ends.
    assert kinds == {"environment", "secret"}


def test_what_is_bound_stays_and_its_rotations_go_a_year_after_their_end() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        bound = await on.bind(generator=RANDOM)
        asked = await on.rotate(bound["bindingId"], overlap="PT0S")
        await Followers(on).finish()
        ended = await on.rotation(asked["rotationId"])
        await passes(on, YEAR + HOUR)
        with pytest.raises(RotationNotFound):
            await on.rotation(asked["rotationId"])
        second = await on.rotate(bound["bindingId"], overlap="PT0S")
        await Followers(on).finish()
        return ended, await on.rotation(second["rotationId"]), await on.binding(bound["bindingId"])

    ended, second, bound = run_virtual(main())

    assert (ended["status"], second["status"]) == ("Revoked", "Revoked")
    assert second["rotationId"].endswith("-2")
    assert (bound["status"], bound["version"]) == ("Bound", second["toVersion"])


@pytest.mark.parametrize(
    "apart",
    [
        pytest.param(YEAR - HOUR, id="before-it-was-removed"),
        pytest.param(YEAR + HOUR, id="after-it-was-removed"),
    ],
)
def test_what_is_bound_again_stays(apart: timedelta) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.bind(generator=RANDOM)
        await on.rotate(first["bindingId"], overlap="PT0S")
        await Followers(on).finish()
        await on.revoke(first["bindingId"])
        await passes(on, apart)
        again = await on.bind(generator=RANDOM)
        await passes(on, 2 * YEAR)
        await on.rotate(again["bindingId"], overlap="PT0S")
        await Followers(on).finish()
        return first, again, await on.binding(again["bindingId"])

    first, again, later = run_virtual(main())

    assert first["bindingId"] == again["bindingId"]
    assert (later["status"], later["moduleId"]) == ("Bound", WEB)
    assert later["version"] != again["version"]


OVER, AGAIN = environment(2, gone=True), environment(3, generation=2)


async def rotated(on: SecretBindings) -> Any:
    """Bind a module, rotate its secret once, and have its environment end."""
    bound = await on.bind(generator=RANDOM)
    await on.rotate(bound["bindingId"], overlap="PT0S")
    await Followers(on).finish()
    await on.hear(OVER)
    await on.watch()
    return bound


async def swept(on: SecretBindings, after: timedelta) -> set[str]:
    """Let the timer run *after* a time; return the kinds of documents that are left."""
    await passes(on, after)
    await remove_ended_secrets(on.app)
    return await stored(on)


def test_the_head_of_a_secret_goes_a_year_after_its_environment_ended() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await rotated(on)
        return await swept(on, YEAR - HOUR), await swept(on, 2 * HOUR)

    before, later = run_virtual(main())

    assert "secret" in before
    assert later == {"environment"}


def test_the_head_of_an_environment_that_is_there_again_stays() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await rotated(on)
        await on.hear(AGAIN)
        return await swept(on, 2 * YEAR)

    assert "secret" in run_virtual(main())


def test_rotations_are_numbered_on_by_what_the_vault_has() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await rotated(on)
        await swept(on, YEAR + HOUR)
        await on.hear(AGAIN)
        again = await on.bind(generator=RANDOM)
        asked = await on.rotate(again["bindingId"], overlap="PT0S")
        await Followers(on).finish()
        return asked["rotationId"], again["version"], await on.rotation(asked["rotationId"])

    identity, before, ended = run_virtual(main())

    assert identity.endswith("-2")
    assert ended["status"] == "Revoked"
    assert ended["toVersion"] != before


def test_nobody_waits_in_the_next_environment_for_what_ran_in_the_one_before() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        bound = await on.bind(generator=RANDOM)
        await on.hear(running(1, {NAME: bound["version"]}))
        await on.hear(OVER)
        await on.hear(AGAIN)
        again = await on.bind(generator=RANDOM)
        asked = await on.rotate(again["bindingId"], overlap="PT0S")
        await Followers(on).finish()
        return (await on.rotation(asked["rotationId"]))["status"]

    assert run_virtual(main()) == "Revoked"
