"""What people do in a vault is noticed: versions are followed, the rest is told."""

from datetime import timedelta
from typing import Any

import pytest

from shared.vault.port import SecretValue
from tests.kit.open_alerts import listed_alerts, require_listed
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, RANDOM, SecretBindings, secret_bindings
from tests.secret_bindings.followers import consumers

WEB = "module-web"
EXTERNAL = "https://partner.vault.localhost"


def _alerts(on: SecretBindings, event: str = "RuntimeAlertRaised") -> list[str]:
    return [each["alert"] for each in on.told(event)]


def test_a_version_that_is_set_by_hand_reaches_every_consumer() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, "module-b", generator=RANDOM)
        await on.watch(5)
        started = list(on.bench.starts.started)
        by_hand = await on.set_by_hand()
        await on.watch(2)
        await followers.finish()
        bound = await on.binding(binding)
        enabled = {each.version: each.enabled for each in await on.vault.versions(NAME)}
        await on.watch(2)
        return started, by_hand, bound, enabled, followers.versions, on.bench.starts.started

    before, by_hand, bound, enabled, running, after = run_virtual(main())

    assert (before, after) == ([], [])
    assert bound["version"] == by_hand
    assert set(running.values()) == {by_hand}
    assert [version for version in enabled if enabled[version]] == [by_hand]


def test_a_version_of_an_external_secret_is_followed_too_and_every_one_stays() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        partner = on.vaults.at(EXTERNAL)
        await partner.set(NAME, SecretValue("first"))
        followers, binding = await consumers(on, WEB, vaultUri=EXTERNAL, external=True)
        await on.app.service.clock.sleep(1)
        newest = (await partner.set(NAME, SecretValue("second"))).version
        await on.watch()
        await followers.finish()
        return newest, await on.binding(binding), await partner.versions(NAME)

    newest, binding, versions = run_virtual(main())

    assert binding["version"] == newest
    assert [each.enabled for each in versions] == [True, True]


def test_a_version_that_a_rotation_failed_to_bring_is_not_followed_again() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, _ = await consumers(on, WEB, generator=RANDOM)
        await on.app.service.clock.sleep(1)
        await on.set_by_hand()
        followers.verdict = lambda _: "refuse"
        await on.watch()
        outcomes = await followers.finish()
        await on.watch(2)
        return outcomes, on.bench.starts.started

    assert run_virtual(main()) == (["Failed"], [])


def test_a_secret_that_is_deleted_stays_bound_and_is_told_until_it_is_back() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        _, binding = await consumers(on, WEB, generator=RANDOM)
        await on.vault.delete(NAME)
        await on.watch()
        await on.watch(2)
        raised, during = _alerts(on), await on.binding(binding)
        await require_listed(on.bench, "SecretDeletedInVault")
        assert [each["about"] for each in await listed_alerts(on.bench)] == [NAME]
        await on.vault.recover(NAME)
        await on.watch(2)
        await require_listed(on.bench)
        return raised, during, _alerts(on, "RuntimeAlertCleared"), on

    raised, during, cleared, on = run_virtual(main())

    assert raised == cleared == ["SecretDeletedInVault"]
    assert during["status"] == "Bound"
    assert [each["status"] for each in on.told("SecretBound")] == ["Bound"]
    assert (
        on.told("RuntimeAlertCleared")[0]["revision"]
        > (on.told("RuntimeAlertRaised")[0]["revision"])
    )


def test_a_version_in_force_that_is_disabled_is_told() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        _, binding = await consumers(on, WEB, generator=RANDOM)
        version = (await on.binding(binding))["version"]
        await on.vault.set_enabled(NAME, version, enabled=False)
        await on.watch()
        return _alerts(on)

    assert run_virtual(main()) == ["SecretVersionDisabled"]


def test_the_end_of_a_version_is_told_to_each_consumer_once() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        ends_at = on.app.service.clock.now() + timedelta(days=40)
        await on.vault.set(NAME, SecretValue("ends"), expires_at=ends_at)
        _, binding = await consumers(on, WEB, "module-b")
        await on.watch(1)
        early = on.told("SecretExpiring")
        await on.watch(11 * 86400)
        await on.watch(2)
        return early, on.told("SecretExpiring"), _alerts(on), await on.binding(binding)

    early, events, alerts, binding = run_virtual(main())

    assert (early, alerts) == ([], ["SecretExpires"])
    assert sorted(each["moduleId"] for each in events) == ["module-b", WEB]
    assert {each["expiresAt"] for each in events} == {binding["expiresAt"]}


def test_a_vault_that_is_away_changes_nothing_and_is_asked_again_later() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await consumers(on, WEB, generator=RANDOM)
        on.vault.throttle(1, retry_after_s=1.0)
        at_once = await on.watch(), await on.watch()
        return at_once, await on.watch(31), _alerts(on)

    at_once, later, alerts = run_virtual(main())

    assert (at_once, later, alerts) == ((1, 0), 1, [])


def test_a_secret_that_nobody_is_given_is_not_watched_until_somebody_is() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        binding = await on.bind(generator=RANDOM)
        await on.revoke(binding["bindingId"])
        ended = await on.watch(), await on.watch(60)
        await on.bind(generator=RANDOM)
        return ended, await on.watch()

    assert run_virtual(main()) == ((1, 0), 1)


def test_a_secret_is_rotated_when_its_policy_says_so() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, _ = await consumers(on, WEB, generator=RANDOM, rotation={"every": "P30D"})
        early = await on.rotate_due(29 * 86400)
        due = await on.rotate_due(2 * 86400)
        outcomes = await followers.finish()
        again = await on.rotate_due(29 * 86400), await on.rotate_due(2 * 86400)
        return early, due, outcomes, again, len(await on.vault.versions(NAME))

    assert run_virtual(main()) == (0, 1, ["Revoked"], (0, 1), 2)


def test_a_rotation_that_was_due_and_failed_is_not_tried_again_at_once() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, _ = await consumers(on, WEB, generator=RANDOM, rotation={"every": "P1D"})
        followers.verdict = lambda _: "refuse"
        await on.rotate_due(2 * 86400)
        await followers.finish()
        at_once = await on.rotate_due(2)
        return at_once, await on.rotate_due(61)

    assert run_virtual(main()) == (0, 1)


@pytest.mark.parametrize("kind", ["by hand", "due"])
def test_what_cannot_be_rotated_stops_no_timer(kind: str) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.set_by_hand()
        followers, binding = await consumers(on, WEB, rotation={"every": "P1D"})
        if kind == "due":
            return await on.rotate_due(2 * 86400), on.app.service.sweeps.failures(on.ctx.now())
        await on.rotate(binding, version="1" * 32)
        await on.app.service.clock.sleep(1)
        await on.set_by_hand()
        looked = await on.watch()
        await followers.finish()
        return looked, on.app.service.sweeps.failures(on.ctx.now())

    assert run_virtual(main()) == (1, {})


def test_a_module_that_is_bound_again_is_waited_for_by_what_it_still_runs() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, WEB, generator=RANDOM)
        await on.revoke(binding)
        await on.bind(moduleId=WEB, generator=RANDOM)
        rotation = await followers.rotate(binding)
        return rotation, followers.told, followers.versions

    rotation, told, running = run_virtual(main())

    assert (rotation["status"], len(told)) == ("Revoked", 1)
    assert running[WEB] == rotation["toVersion"]
