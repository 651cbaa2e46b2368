"""Revoked bindings and rotations that ended are kept a year; what is bound stays."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.secret_bindings.errors import BindingNotFound, RotationNotFound
from shared.contracts.retention import Retention
from tests.kit.stores import all_changes
from tests.kit.told import WEB
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import RANDOM, SecretBindings, secret_bindings

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
    # The head of the secret numbers its rotations, by which the vault knows their versions.
    assert kinds == {"environment", "secret"}


def test_what_is_bound_stays_and_its_rotations_go_a_year_after_their_end() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        bound = await on.bind(generator=RANDOM)
        asked = await on.rotate(bound["bindingId"], overlap="PT0S")
        await on.run_started()
        ended = await on.rotation(asked["rotationId"])
        await passes(on, YEAR + HOUR)
        with pytest.raises(RotationNotFound):
            await on.rotation(asked["rotationId"])
        second = await on.rotate(bound["bindingId"], overlap="PT0S")
        await on.run_started()
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
        await on.run_started()
        await on.revoke(first["bindingId"])
        await passes(on, apart)
        again = await on.bind(generator=RANDOM)
        await passes(on, 2 * YEAR)
        await on.rotate(again["bindingId"], overlap="PT0S")
        await on.run_started()
        return first, again, await on.binding(again["bindingId"])

    first, again, later = run_virtual(main())

    assert first["bindingId"] == again["bindingId"]
    assert (later["status"], later["moduleId"]) == ("Bound", WEB)
    assert later["version"] != again["version"]
