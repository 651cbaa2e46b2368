"""A dry run of a binding says what is there, and what would change; it changes nothing."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from function_apps.secret_bindings.errors import BindingExists, BindingsFull
from function_apps.secret_bindings.model import rotation
from function_apps.secret_bindings.model.binding import BINDINGS_MAX
from function_apps.secret_bindings.use_cases.binding_plan import LOOK
from shared.kernel.errors import Unavailable
from shared.vault.port import SecretValue
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import (
    NAME,
    PASSWORD,
    RANDOM,
    VAULT,
    SecretBindings,
    secret_bindings,
)
from tests.secret_bindings.followers import consumers

OTHER = "module-other"


async def _planned(on: SecretBindings, **changes: Any) -> Mapping[str, Any]:
    """Return what binding would change; nothing is changed by asking."""
    before = await on.everything()
    plan = await on.ask(**changes, dryRun=True)
    after = await on.everything()
    assert [each for each in after if _looked_up(each) is None] == [
        each for each in before if _looked_up(each) is None
    ]
    assert on.bench.starts.started == []
    return plan


def _looked_up(document: str) -> Mapping[str, Any] | None:
    """Return the record of a look into the vault that *document* is; None for any other."""
    body = json.loads(document)
    record = body.get("record") if isinstance(body, dict) else None
    return record if record and record["action"] == LOOK else None


def test_who_has_the_vault_looked_into_is_recorded() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await _planned(on)
        return [each for each in map(_looked_up, await on.everything()) if each]

    (record,) = run_virtual(main())

    assert (record["actor"], record["reason"]) == ("user:ann", f"{NAME} in {VAULT}")


def test_the_key_of_a_webhook_that_is_asked_for_is_recorded_too() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        settings = {"url": "https://a.example", "key": "somebody-elses"}
        await _planned(on, generator={"kind": "webhook", "settings": settings})
        return [each for each in map(_looked_up, await on.everything()) if each]

    (record,) = run_virtual(main())

    assert record["reason"] == f"{NAME} and somebody-elses in {VAULT}"


def test_nothing_is_recorded_where_the_vault_is_not_looked_into() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.bind(generator=RANDOM)
        await _planned(on, generator=RANDOM)
        return [each for each in map(_looked_up, await on.everything()) if each]

    assert run_virtual(main()) == []


def test_a_binding_that_is_new_is_told_with_the_version_that_others_have() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        alone = await _planned(on, generator=RANDOM)
        bound = await on.bind(moduleId=OTHER, generator=RANDOM)
        return alone, await _planned(on, generator=RANDOM), bound["version"]

    alone, beside, version = run_virtual(main())

    assert (alone["change"], alone["status"], alone["version"]) == ("Bind", None, None)
    assert (beside["change"], beside["version"]) == ("Bind", version)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, ["SecretHasNoVersion"]), ({"generator": RANDOM}, [])],
    ids=["nobody-makes-one", "a-generator-does"],
)
def test_a_secret_without_a_version_is_refused_before_it_is_bound(
    changes: dict[str, Any], expected: list[str]
) -> None:
    async def main() -> Any:
        return await _planned(await secret_bindings(), **changes)

    assert [each["code"] for each in run_virtual(main())["refusals"]] == expected


@pytest.mark.parametrize(
    ("generator", "code"),
    [pytest.param(
        {"kind": "databasePassword", "settings": {"resource": "nope"}}, "ResourceMissing",
        id="no-such-data-resource",
     ),
     pytest.param(
        {"kind": "databasePassword", "settings": {"resource": "orders-db", "user": "No Name"}},
        "Invalid", id="no-name-of-a-login",
     ),
     pytest.param(
        {"kind": "webhook", "settings": {"url": "https://a.example", "key": "nope"}},
        "NotFound", id="no-key-of-a-webhook",
     )],
)  # fmt: skip
def test_what_a_generator_needs_and_has_not_is_refused_before_a_secret_is_bound(
    generator: dict[str, Any], code: str
) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        plan = await _planned(on, generator=generator)
        real = await on.bind(generator=generator)
        return plan["refusals"], real["status"], real["reason"], on.passwords.logins

    (refusal,), status, reason, logins = run_virtual(main())

    assert refusal["code"] == code
    assert (status, reason) == ("Failed", f"{code}: {refusal['message']}")
    assert logins == {}


def test_a_login_is_refused_where_its_version_is_there_and_its_resource_is_not() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.bind(moduleId=OTHER, generator=PASSWORD)
        on.passwords.resources.clear()
        return await _planned(on, generator=PASSWORD)

    assert [each["code"] for each in run_virtual(main())["refusals"]] == ["ResourceMissing"]


def test_a_version_in_force_that_is_disabled_is_refused_before_it_is_given_to_another() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        version = (await on.bind(moduleId=OTHER, generator=RANDOM))["version"]
        await on.vault.set_enabled(NAME, version, enabled=False)
        return await _planned(on, generator=RANDOM)

    assert [each["code"] for each in run_virtual(main())["refusals"]] == ["SecretDisabled"]


def test_of_a_vault_that_does_not_answer_nothing_is_said() -> None:
    async def main() -> None:
        on = await secret_bindings()
        on.vault.throttle(1, retry_after_s=1.0)
        await _planned(on)

    with pytest.raises(Unavailable):
        run_virtual(main())


def test_what_is_bound_is_refused_nothing() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.bind(generator=RANDOM)
        on.vault.throttle(1, retry_after_s=1.0)  # it is not asked
        return await _planned(on, generator=RANDOM)

    assert run_virtual(main())["refusals"] == []


def test_a_binding_that_is_as_it_is_asked_for_would_not_change() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        bound = await on.bind(generator=RANDOM)
        return await _planned(on, generator=RANDOM), bound["version"]

    plan, version = run_virtual(main())

    assert (plan["change"], plan["status"], plan["version"]) == ("Nothing", "Bound", version)


def test_a_binding_that_was_revoked_or_has_no_version_would_be_bound_again() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        failed = await on.bind()
        again = await _planned(on, generator=RANDOM)
        await on.revoke(failed["bindingId"])
        return again, await _planned(on, generator=RANDOM)

    again, revoked = run_virtual(main())

    assert (again["change"], again["status"]) == ("BindAgain", "Failed")
    assert (revoked["change"], revoked["status"]) == ("BindAgain", "Revoked")


def test_a_binding_with_another_delivery_is_refused_with_what_differs() -> None:
    async def main() -> None:
        on = await secret_bindings()
        await on.bind(generator=RANDOM)
        await on.ask(generator=RANDOM, delivery="file", dryRun=True)

    with pytest.raises(BindingExists) as refused:
        run_virtual(main())
    (found,) = refused.value.details
    assert (found.target, found.expected, found.received) == (
        "/delivery", "environmentVariable", "file",
    )  # fmt: skip


def test_a_module_has_as_many_secrets_as_a_release_unit_records_and_no_more() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        for number in range(BINDINGS_MAX):
            names = {"secretName": f"s-{number}", "target": f"S_{number}"}
            await on.ask(**names, generator=RANDOM)
        repeat = await on.ask(secretName="s-0", target="S_0", generator=RANDOM)
        refused = []
        for more in ({}, {"dryRun": True}):
            with pytest.raises(BindingsFull, match=f"has {BINDINGS_MAX} secrets") as no:
                await on.ask(secretName="one-more", target="ONE_MORE", generator=RANDOM, **more)
            refused.append(no.value.target)
        elsewhere = await on.ask(moduleId=OTHER, generator=RANDOM)
        return repeat["status"], refused, elsewhere["status"]

    assert run_virtual(main()) == ("Requested", ["/secretName"] * 2, "Requested")


def test_a_rotation_disables_every_older_version_or_says_that_they_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rotation, "OLDER_MAX", 60)

    async def main(number: int) -> Any:
        on = await secret_bindings()
        for each in range(number):
            await on.vault.set(NAME, SecretValue(f"by hand {each}"))
        followers, binding = await consumers(on, "module-web", generator=RANDOM)
        await on.app.service.clock.sleep(1)
        ended = await followers.rotate(binding)
        enabled = [each for each in await on.vault.versions(NAME) if each.enabled]
        (event,) = on.told("SecretRotated")[1:] or [None]
        return ended, len(enabled), event

    ended, enabled, event = run_virtual(main(60))
    assert (ended["status"], enabled, len(event["revoked"])) == ("Revoked", 1, 50)

    ended, enabled, _ = run_virtual(main(61))
    assert (ended["status"], ended["reason"]["code"], enabled) == ("Failed", "VersionsFull", 61)
