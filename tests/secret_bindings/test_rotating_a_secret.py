"""A rotation ends at the last consumer: everybody has a valid version, whatever happens."""

import asyncio
from typing import Any

import pytest

from shared.kernel.errors import Conflict
from shared.vault.port import SecretDisabled, SecretValue
from tests.kit.open_alerts import listed_alerts, require_listed
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import (
    NAME,
    PASSWORD,
    RANDOM,
    SecretBindings,
    secret_bindings,
)
from tests.secret_bindings.followers import Followers, consumers

MODULES = [f"module-m{number}" for number in range(12)]
EXTERNAL = "https://partner.vault.localhost"


async def _enabled(on: SecretBindings) -> dict[str, bool]:
    return {each.version: each.enabled for each in await on.vault.versions(NAME)}


def test_every_consumer_proves_the_new_version_before_the_old_one_is_disabled() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, *MODULES[:3], generator=RANDOM)
        rotation = await followers.rotate(binding)
        operation = await on.operation(rotation["operationId"])
        return rotation, await _enabled(on), operation, on, await on.binding(binding)

    rotation, enabled, operation, on, binding = run_virtual(main())

    old, new = rotation["fromVersion"], rotation["toVersion"]
    assert rotation["status"] == "Revoked"
    assert enabled == {old: False, new: True}
    assert {each["version"] for each in rotation["consumers"]} == {new}
    assert [step.name for step in operation.steps] == [
        "create", "set", "test", "roll out", "overlap", "withdraw", "retire", "revoke",
    ]  # fmt: skip
    assert (operation.status, binding["version"]) == ("Succeeded", new)
    verified, revoked = on.told("SecretRotated")
    assert [verified["status"], revoked["status"]] == ["Verified", "Revoked"]
    assert (verified["revoked"], revoked["revoked"]) == ([], [old])
    assert revoked["revision"] > verified["revision"]


def test_one_consumer_follows_first_and_then_a_tenth_of_them_at_once() -> None:
    modules = [f"module-m{number}" for number in range(30)]

    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, *modules, generator=RANDOM)
        asked = await on.rotate(binding)
        at_once: list[int] = []

        def follow(_command: Any) -> str:
            at_once.append(followers.waiting)
            return "follow"

        followers.verdict = follow
        await followers.finish()
        return await on.rotation(asked["rotationId"]), followers.told, at_once

    rotation, told, at_once = run_virtual(main())

    assert rotation["status"] == "Revoked"
    assert [each["canary"] for each in told] == [True] + [False] * (len(modules) - 1)
    assert sorted(each["moduleId"] for each in told) == sorted(modules)
    assert (at_once[0], max(at_once)) == (1, 3)


def test_the_old_version_stays_enabled_for_the_overlap() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        asked = await on.rotate(binding, overlap="PT1H")
        rotating = asyncio.ensure_future(followers.finish())
        await on.app.service.clock.sleep(3500)
        within = await on.rotation(asked["rotationId"]), await _enabled(on)
        await rotating
        return within, await on.rotation(asked["rotationId"]), await _enabled(on)

    (within, enabled_within), after, enabled = run_virtual(main())

    assert (within["status"], set(enabled_within.values())) == ("Verified", {True})
    assert (after["status"], enabled[after["fromVersion"]]) == ("Revoked", False)


def test_a_consumer_that_is_revoked_in_its_roll_out_is_waited_for_no_longer() -> None:
    async def main() -> str:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        asked = await on.rotate(binding, overlap="PT0S")
        followers.verdict = lambda _: "ignore"
        rotating = asyncio.ensure_future(followers.finish())
        while not followers.told:
            await on.app.service.clock.sleep(1)
        await on.revoke(binding)
        await on.app.service.clock.sleep(10)
        found = await on.rotation(asked["rotationId"])
        await rotating
        return str(found["status"])

    assert run_virtual(main()) == "Revoked"


@pytest.mark.parametrize(
    ("verdict", "code"),
    [pytest.param("refuse", "ConsumerRolledBack", id="rolled-back"),
     pytest.param("Failed", "ConsumerRolledBack", id="failed"),
     pytest.param("Cancelled", "ConsumerRolledBack", id="cancelled"),
     pytest.param("ignore", "ProofMissing", id="silent")],
)  # fmt: skip
def test_a_consumer_that_does_not_follow_fails_the_rotation_and_all_versions_stay(
    verdict: str, code: str
) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, *MODULES[:3], generator=RANDOM)
        asked = await on.rotate(binding)
        followers.verdict = lambda _: "follow" if len(followers.told) == 1 else verdict
        await followers.finish()
        rotation = await on.rotation(asked["rotationId"])
        versions = [
            (await on.binding(each["bindingId"]))["version"] for each in rotation["consumers"]
        ]
        return rotation, await _enabled(on), on, versions, followers

    rotation, enabled, on, versions, followers = run_virtual(main())

    old, new = rotation["fromVersion"], rotation["toVersion"]
    assert (rotation["status"], rotation["reason"]["code"]) == ("Failed", code)
    assert enabled == {old: True, new: True}
    assert sorted(versions) == sorted([old, old, new])
    assert sorted(each["version"] for each in rotation["consumers"]) == sorted([old, old, new])
    assert [each["reason"]["code"] for each in on.told("SecretRotationFailed")] == [code]
    assert [each["alert"] for each in on.told("RuntimeAlertRaised")] == ["SecretRotationFailed"]
    assert len(followers.told) == 2


def test_a_consumer_that_deployments_has_nothing_of_needs_no_proof() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, *MODULES[:2], generator=RANDOM)
        followers.verdict = lambda _: "nothing"
        return await followers.rotate(binding), await on.binding(binding)

    rotation, binding = run_virtual(main())

    assert (rotation["status"], binding["version"]) == ("Revoked", rotation["toVersion"])


def test_the_next_rotation_revokes_every_older_version_and_ends_the_alert() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, *MODULES[:3], generator=RANDOM)
        followers.verdict = lambda _: "follow" if len(followers.told) == 1 else "refuse"
        failed = await followers.rotate(binding)
        await require_listed(on.bench, "SecretRotationFailed")
        assert [each["about"] for each in await listed_alerts(on.bench)] == [NAME]
        followers.verdict = lambda _: "follow"
        rotation = await followers.rotate(binding)
        await require_listed(on.bench)
        return failed, rotation, await _enabled(on), on.told("RuntimeAlertCleared")

    failed, rotation, enabled, cleared = run_virtual(main())

    assert (failed["status"], rotation["status"]) == ("Failed", "Revoked")
    assert [version for version, is_enabled in enabled.items() if is_enabled] == [
        rotation["toVersion"]
    ]
    assert len(enabled) == 3
    assert [each["alert"] for each in cleared] == ["SecretRotationFailed"]


def test_the_alert_about_a_secret_ends_with_its_last_consumer() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, *MODULES[:2], generator=RANDOM)
        followers.verdict = lambda _: "refuse"
        first, last = (await followers.rotate(binding))["consumers"]
        await on.revoke(first["bindingId"])
        await require_listed(on.bench, "SecretRotationFailed")

        await on.revoke(last["bindingId"])

        await require_listed(on.bench)
        return on.told("RuntimeAlertRaised"), on.told("RuntimeAlertCleared")

    (raised,), (cleared,) = run_virtual(main())

    assert raised["raisedAt"] == cleared["raisedAt"]
    assert raised["revision"] < cleared["revision"]


def test_a_secret_that_is_bound_again_is_alerted_again() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        followers.verdict = lambda _: "refuse"
        await followers.rotate(binding)
        await on.revoke(binding)
        await on.ask(moduleId=MODULES[0], generator=RANDOM)
        await on.run_started()

        await followers.rotate(binding)

        await require_listed(on.bench, "SecretRotationFailed")

    run_virtual(main())


def test_a_rotation_that_fails_when_nobody_has_the_secret_any_more_raises_no_alert() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        followers.verdict = lambda _: "refuse"
        await followers.rotate(binding)
        asked = await on.rotate(binding)

        await on.revoke(binding)
        await on.abandon(asked["operationId"])

        await require_listed(on.bench)
        return len(on.told("RuntimeAlertRaised"))

    assert run_virtual(main()) == 1


def test_rotations_that_fail_one_after_the_other_raise_one_alert() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        followers.verdict = lambda _: "Failed"
        for _ in range(2):
            await on.rotate(binding)
            await followers.finish()
        raised = on.told("RuntimeAlertRaised")
        followers.verdict = lambda _: "follow"
        await on.rotate(binding)
        await followers.finish()
        return raised, on.told("RuntimeAlertCleared"), len(on.told("SecretRotationFailed"))

    (raised,), (cleared,), failed = run_virtual(main())

    assert failed == 2
    assert (raised["aggregateId"], raised["raisedAt"]) == (
        cleared["aggregateId"], cleared["raisedAt"],
    )  # fmt: skip


def test_consumers_that_run_nothing_need_no_proof_and_are_given_the_new_version() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        binding = await on.bind(generator=RANDOM)
        followers = Followers(on)
        rotation = await followers.rotate(binding["bindingId"])
        return rotation, followers.told, await on.binding(binding["bindingId"])

    rotation, told, binding = run_virtual(main())

    assert (rotation["status"], told, binding["version"]) == ("Revoked", [], rotation["toVersion"])


def test_a_consumer_that_another_release_took_back_follows_before_anything_is_disabled() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        asked = await on.rotate(binding, overlap="PT1H")
        rotating = asyncio.ensure_future(followers.finish())
        await on.app.service.clock.sleep(60)
        await followers.release(MODULES[0], asked["fromVersion"])
        await rotating
        return await on.rotation(asked["rotationId"]), followers.told

    rotation, told = run_virtual(main())

    assert (rotation["status"], len(told)) == ("Revoked", 2)
    assert rotation["consumers"][0]["version"] == rotation["toVersion"]


def test_a_module_that_is_bound_during_the_overlap_is_given_the_new_version() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        asked = await on.rotate(binding, overlap="PT1H")
        rotating = asyncio.ensure_future(followers.finish())
        await on.app.service.clock.sleep(60)
        late = await on.ask(moduleId=MODULES[1])
        await on.run_started()
        await rotating
        return await on.rotation(asked["rotationId"]), await on.binding(late["bindingId"])

    rotation, late = run_virtual(main())

    assert (late["version"], rotation["status"]) == (rotation["toVersion"], "Revoked")


def test_a_version_that_is_there_is_changed_over_to() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=PASSWORD)
        await on.app.service.clock.sleep(1)
        by_hand = (
            await on.vault.set(NAME, await on.passwords.new_value(_orders(), "x", _text()))
        ).version
        await on.passwords.set(_orders(), (await on.vault.get(NAME, by_hand)).value)
        rotation = await followers.rotate(binding, version=by_hand)
        return by_hand, rotation, await _enabled(on)

    by_hand, rotation, enabled = run_virtual(main())

    assert (rotation["toVersion"], rotation["status"]) == (by_hand, "Revoked")
    assert len(enabled) == 2


def _orders() -> Any:
    from shared.kernel.ids import EnvironmentId
    from shared.passwords.port import PasswordResource
    from tests.kit.told import ENVIRONMENT

    return PasswordResource(EnvironmentId(ENVIRONMENT), "orders-db")


def _text() -> SecretValue:
    return SecretValue("p" * 20)


def test_a_data_resource_takes_both_logins_in_the_overlap_and_refuses_the_old_one_at_the_end() -> (
    None
):
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=PASSWORD)
        before = dict(on.passwords.logins)
        asked = await on.rotate(binding, overlap="PT1H")
        rotating = asyncio.ensure_future(followers.finish())
        await on.app.service.clock.sleep(60)
        within = dict(on.passwords.logins)
        await rotating
        rotation = await on.rotation(asked["rotationId"])
        new = (await on.vault.get(NAME, rotation["toVersion"])).value.reveal()
        with pytest.raises(SecretDisabled):
            await on.vault.get(NAME, rotation["fromVersion"])
        return before, within, dict(on.passwords.logins), new

    before, within, after, new = run_virtual(main())

    assert (len(before), len(within), len(after)) == (1, 2, 1)
    assert before.keys() < within.keys()
    assert after.keys() == within.keys() - before.keys()
    assert next(iter(after)) in new


def test_a_login_that_the_resource_refuses_reaches_no_consumer() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=PASSWORD)
        on.passwords.refuses = True
        return await followers.rotate(binding), followers.told

    rotation, told = run_virtual(main())

    assert (rotation["status"], rotation["reason"]["code"], told) == (
        "Failed", "PasswordRefused", [],
    )  # fmt: skip


def test_a_resource_that_is_away_for_a_while_is_asked_again() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=PASSWORD)
        on.passwords.away = 3
        return await followers.rotate(binding)

    assert run_virtual(main())["status"] == "Revoked"


def test_an_external_secret_changes_over_to_its_newest_version_and_keeps_every_one() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        partner = on.vaults.at(EXTERNAL)
        await partner.set(NAME, SecretValue("first"))
        followers, binding = await consumers(on, MODULES[0], vaultUri=EXTERNAL, external=True)
        early = await followers.rotate(binding)
        await on.app.service.clock.sleep(1)
        newest = (await partner.set(NAME, SecretValue("second"))).version
        rotation = await followers.rotate(binding)
        return early, newest, rotation, await partner.versions(NAME), on.told("SecretRotated")

    early, newest, rotation, versions, told = run_virtual(main())

    assert (early["status"], early["reason"]["code"]) == ("Failed", "VersionInForce")
    assert (rotation["status"], rotation["toVersion"]) == ("Revoked", newest)
    assert [each.enabled for each in versions] == [True, True]
    assert [(each["status"], each["revoked"]) for each in told] == [
        ("Verified", []), ("Revoked", []),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "repeated",
    [pytest.param({}, id="that-names-nothing"),
     pytest.param({"overlap": "PT5S"}, id="that-names-a-part"),
     pytest.param({"overlap": "PT5S", "reason": "monthly"}, id="that-is-the-same")],
)  # fmt: skip
def test_a_repeat_gets_the_rotation_in_flight(repeated: dict[str, str]) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        _, binding = await consumers(on, MODULES[0], generator=RANDOM)
        first = await on.rotate(binding, overlap="PT5S", reason="monthly")
        second = await on.rotate(binding, **repeated)
        return first, second, len(on.bench.starts.started)

    first, second, started = run_virtual(main())

    assert (first, started) == (second, 1)
    assert (first["overlap"], first["requestReason"], first["reason"]) == ("PT5S", "monthly", None)


@pytest.mark.parametrize(
    ("order", "differing"),
    [pytest.param({"version": "1" * 32}, ["/version nothing " + "1" * 32], id="another-version"),
     pytest.param(
         {"overlap": "PT0S", "reason": "leaked"},
         ["/overlap PT5S PT0S", "/reason nothing leaked"],
         id="another-overlap-and-reason",
     )],
)  # fmt: skip
def test_what_another_rotation_asks_for_is_not_dropped_while_one_is_in_flight(
    order: dict[str, str], differing: list[str]
) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        _, binding = await consumers(on, MODULES[0], generator=RANDOM)
        first = await on.rotate(binding, overlap="PT5S")
        with pytest.raises(Conflict) as refused:
            await on.rotate(binding, **order)
        return first, refused.value

    first, refused = run_virtual(main())

    assert refused.code == "RotationInFlight"
    assert first["operationId"] in refused.message
    assert [
        f"{each.target} {each.expected} {each.received}" for each in refused.details
    ] == differing


def test_what_cannot_be_rotated_is_refused_by_name() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.set_by_hand()
        bound = await on.bind()
        asked = await on.ask(secretName="api-key", generator=RANDOM, target="API_KEY")
        codes = []
        for identity, order in (
            (bound["bindingId"], {}),
            (bound["bindingId"], {"version": bound["version"]}),
            (asked["bindingId"], {}),
        ):
            with pytest.raises(Conflict) as refused:
                await on.rotate(identity, **order)
            codes.append(refused.value.code)
        gone = await on.rotate(bound["bindingId"], version="1" * 32)
        await on.run_started()
        return codes, await on.rotation(gone["rotationId"])

    codes, gone = run_virtual(main())

    assert codes == ["GeneratorMissing", "VersionInForce", "BindingNotBound"]
    assert (gone["status"], gone["reason"]["code"]) == ("Failed", "VersionUnusable")


def test_a_rotation_that_is_cancelled_stops_where_it_is_without_an_alert() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        followers.verdict = lambda _: "ignore"
        asked = await on.rotate(binding)
        rotating = asyncio.ensure_future(followers.finish())
        await on.app.service.clock.sleep(5)
        await on.cancel(asked["operationId"])
        await rotating
        operation = await on.operation(asked["operationId"])
        return await on.rotation(asked["rotationId"]), operation, on.told("RuntimeAlertRaised")

    rotation, operation, alerts = run_virtual(main())

    assert (rotation["status"], operation.status, alerts) == ("Failed", "Canceled", [])


def test_a_rotation_that_is_abandoned_frees_its_secret() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=RANDOM)
        asked = await on.rotate(binding)
        on.bench.starts.started.clear()
        await on.abandon(asked["operationId"])
        return await on.rotation(asked["rotationId"]), await followers.rotate(binding)

    abandoned, rotation = run_virtual(main())

    assert (abandoned["status"], abandoned["reason"]["code"]) == ("Failed", "OperationAbandoned")
    assert rotation["status"] == "Revoked"


def test_no_value_is_in_what_a_rotation_stores_sends_or_answers() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULES[0], generator=PASSWORD)
        old = (await on.vault.get(NAME)).value.reveal()
        rotation = await followers.rotate(binding)
        new = (await on.vault.get(NAME)).value.reveal()
        return [old, new, *on.passwords.logins.values()], await on.everything(), rotation

    values, texts, rotation = run_virtual(main())

    assert len(values) == 3
    assert not any(value in text for value in values for text in (*texts, str(rotation)))
