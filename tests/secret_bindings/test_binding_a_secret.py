"""A module is bound to a version that its vault has, or to the first one, which is made for it."""

from typing import Any

import pytest

from function_apps.secret_bindings.model.environment import EnvironmentProjection
from function_apps.secret_bindings.repository import ENVIRONMENTS
from shared.kernel.errors import Conflict, Refused
from shared.messaging.unit_of_work import Decision
from shared.vault.port import SecretValue
from shared.web.request import Answer
from tests.kit.told import ENVIRONMENT, environment
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, RANDOM, ROOT, VAULT, SecretBindings, secret_bindings

EXTERNAL = "https://partner.vault.localhost"
KEY_PAIR = {"kind": "keyPair"}


async def _refusal(on: SecretBindings, **changes: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await on.ask(**changes)
    return refused.value


def test_a_generator_makes_the_first_version_in_the_vault_of_the_environment() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        asked = await on.ask(generator=RANDOM)
        await on.run_started()
        binding = await on.binding(asked["bindingId"])
        return asked, binding, await on.vault.get(NAME), on.told("SecretBound")

    asked, binding, secret, (event,) = run_virtual(main())

    assert (asked["status"], asked["version"]) == ("Requested", None)
    assert (binding["status"], binding["vaultUri"]) == ("Bound", VAULT)
    assert binding["version"] == event["version"] == secret.properties.version
    assert len(secret.value.reveal()) == 43
    assert (event["delivery"], event["target"]) == ("environmentVariable", "DB_PASSWORD")


def test_a_value_is_as_long_as_it_is_asked_to_be() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.bind(generator={"kind": "random", "length": 17})
        return (await on.vault.get(NAME)).value.reveal()

    assert len(run_virtual(main())) == 17


def test_a_key_pair_is_a_private_key_that_others_can_read() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    async def main() -> Any:
        on = await secret_bindings()
        await on.bind(generator=KEY_PAIR)
        return (await on.vault.get(NAME)).value.reveal()

    key = load_pem_private_key(run_virtual(main()).encode(), None)

    assert isinstance(key, Ed25519PrivateKey)
    key.public_key().verify(key.sign(b"text"), b"text")


def test_a_version_that_is_there_is_taken() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.set_by_hand("old")
        await on.app.service.clock.sleep(1)
        newest = await on.set_by_hand("new")
        return newest, await on.bind(), len(await on.vault.versions(NAME))

    newest, binding, versions = run_virtual(main())

    assert (binding["version"], versions) == (newest, 1 + 1)


def test_without_a_version_and_a_generator_it_fails_and_says_why() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.bind()
        failed = await on.operation(first["lastOperationId"])
        version = await on.set_by_hand()
        return first, failed.error, version, await on.bind()

    first, error, version, second = run_virtual(main())

    assert (first["status"], error["code"]) == ("Failed", "SecretHasNoVersion")
    assert first["reason"].startswith("SecretHasNoVersion: ")
    assert (second["status"], second["version"], second["reason"]) == ("Bound", version, "")


def test_disabled_versions_are_none() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.vault.set_enabled(NAME, await on.set_by_hand(), enabled=False)
        return (await on.operation((await on.bind())["lastOperationId"])).error

    assert run_virtual(main())["code"] == "SecretHasNoVersion"


def test_the_name_of_a_deleted_secret_is_refused_by_name() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.set_by_hand()
        await on.vault.delete(NAME)
        binding = await on.bind(generator=RANDOM)
        return binding, (await on.operation(binding["lastOperationId"])).error

    binding, error = run_virtual(main())

    assert (binding["status"], error["code"]) == ("Failed", "SecretDeleted")


def test_a_vault_that_is_throttled_is_asked_again() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        on.vault.throttle(3, retry_after_s=7.0)
        return await on.bind(generator=RANDOM)

    assert run_virtual(main())["status"] == "Bound"


def test_a_vault_that_stays_away_ends_the_operation_and_the_next_one_binds() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        on.vault.throttle(5, retry_after_s=1.0)
        first = await on.bind(generator=RANDOM)
        error = (await on.operation(first["lastOperationId"])).error
        return first, error, await on.bind(generator=RANDOM)

    first, error, second = run_virtual(main())

    assert (first["status"], error["code"], second["status"]) == (
        "Failed", "Unavailable", "Bound",
    )  # fmt: skip


def test_a_repeat_gets_the_first_answer_and_other_content_is_refused() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.ask(generator=RANDOM)
        second = await on.ask(generator=RANDOM)
        started = len(on.bench.starts.started)
        with pytest.raises(Conflict) as refused:
            await on.ask(generator=RANDOM, target="PASSWORD")
        return first, second, started, refused.value

    first, second, started, refusal = run_virtual(main())

    assert (first, started, refusal.code) == (second, 1, "BindingExists")
    assert [each.target for each in refusal.details] == ["/target"]


def test_names_of_secrets_are_compared_as_vaults_compare_them() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.bind(generator=RANDOM)
        return first, await on.bind(moduleId="module-worker", secretName=NAME.upper())

    first, second = run_virtual(main())

    assert first["version"] == second["version"]


def test_a_second_module_is_given_the_version_in_force() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.bind(generator=RANDOM)
        await on.app.service.clock.sleep(1)
        await on.set_by_hand()
        return first, await on.bind(moduleId="module-worker")

    first, second = run_virtual(main())

    assert first["version"] == second["version"]


def test_a_secret_whose_version_in_force_is_disabled_takes_no_more_modules() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.bind(generator=RANDOM)
        await on.vault.set_enabled(NAME, first["version"], enabled=False)
        await on.set_by_hand()
        second = await on.bind(moduleId="module-worker")
        return second, (await on.operation(second["lastOperationId"])).error

    second, error = run_virtual(main())

    assert (second["status"], error["code"]) == ("Failed", "SecretDisabled")


def test_two_modules_that_are_bound_at_once_are_given_one_version() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        asked = [
            await on.ask(generator=RANDOM, moduleId=f"module-{name}") for name in ("web", "worker")
        ]
        await on.run_started()
        return [(await on.binding(each["bindingId"]))["version"] for each in asked]

    first, second = run_virtual(main())

    assert first == second


def test_another_generator_than_that_of_the_other_consumers_is_refused() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.bind(generator=RANDOM)
        same = await on.bind(moduleId="module-b", generator=RANDOM)
        refused = await _refusal(on, moduleId="module-c", generator=KEY_PAIR)
        for binding in (first, same):
            await on.revoke(binding["bindingId"])
        alone = await on.bind(moduleId="module-c", generator=KEY_PAIR)
        return refused, alone

    refused, alone = run_virtual(main())

    assert (refused.code, alone["status"]) == ("GeneratorDiffers", "Bound")


def test_no_version_is_made_in_an_environment_that_ended_while_it_was_asked_for() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        asked = await on.ask(generator=RANDOM)
        closed = EnvironmentProjection(ENVIRONMENT, 2, is_open=False, vault_uri=VAULT)
        await on.app.service.work.change(
            on.ctx, ENVIRONMENTS, ENVIRONMENT,
            lambda _view: Decision({}, writes=[ENVIRONMENTS.put(closed)]),
        )  # fmt: skip
        await on.run_started()
        operation = await on.operation(asked["lastOperationId"])
        return operation, await on.vault.versions(NAME)

    operation, versions = run_virtual(main())

    assert operation.error is not None
    assert (operation.error["code"], list(versions)) == ("EnvironmentNotProvisioned", [])


@pytest.mark.parametrize("delivery", ["environmentVariable", "file"])
def test_a_place_that_has_another_secret_is_refused(delivery: str) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.bind(generator=RANDOM, delivery="file")
        return await _refusal(on, secretName="api-key", generator=RANDOM, delivery=delivery)

    assert run_virtual(main()).code == "TargetTaken"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"environmentId": "env-bbbbbbbbbbbb"}, "EnvironmentNotProvisioned", id="none"),
        pytest.param({"vaultUri": EXTERNAL}, "VaultNotOfEnvironment", id="another-vault"),
        pytest.param(
            {"vaultUri": VAULT, "external": True}, "VaultOfAnEnvironment", id="own-as-external"
        ),
        pytest.param(
            {"vaultUri": "https://BBBBBBBBBBBB.vault.localhost", "external": True},
            "VaultOfAnEnvironment",
            id="of-another-environment",
        ),
        pytest.param(
            {"vaultUri": "https://runtime.vault.localhost", "external": True},
            "VaultNotAllowed",
            id="of-the-platform",
        ),
        pytest.param(
            {"vaultUri": "https://169.254.169.254", "external": True},
            "VaultNotAllowed",
            id="no-vault",
        ),
        pytest.param({"generator": {"kind": "storageKey"}}, "GeneratorNotSupported", id="kind"),
        pytest.param({"target": "PATH"}, "Invalid", id="variable-of-the-platform"),
        pytest.param({"delivery": "file", "target": "../a"}, "Invalid", id="file-elsewhere"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, Any], code: str) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        return await _refusal(on, **changes), on.bench.starts.started

    refusal, started = run_virtual(main())

    assert (refusal.code, started) == (code, [])


def test_an_external_secret_is_read_and_never_made() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        partner = on.vaults.at(EXTERNAL)
        version = (await partner.set(NAME, SecretValue("theirs"))).version
        return version, await on.bind(vaultUri=EXTERNAL, external=True)

    version, binding = run_virtual(main())

    assert (binding["version"], binding["external"], binding["status"]) == (version, True, "Bound")


def test_a_revoked_binding_is_told_and_its_versions_stay() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        binding = await on.bind(generator=RANDOM)
        revoked = await on.revoke(binding["bindingId"])
        again = await on.revoke(binding["bindingId"])
        versions = await on.vault.versions(NAME)
        return revoked, again, versions, on.told("SecretBound"), await on.bind(generator=RANDOM)

    revoked, again, (version,), events, bound = run_virtual(main())

    assert (revoked, revoked["status"], version.enabled) == (again, "Revoked", True)
    assert [(each["status"], each["revision"]) for each in events[:2]] == [
        ("Bound", 2), ("Revoked", 3),
    ]  # fmt: skip
    assert (bound["status"], bound["version"]) == ("Bound", version.version)


def test_a_revocation_that_is_asked_for_again_says_that_it_is_a_repeat() -> None:
    async def main() -> list[Answer]:
        on = await secret_bindings()
        binding = await on.bind(generator=RANDOM)
        path, body = f"{ROOT}/{{bindingId}}/revoke", {"reason": "left"}
        return [await on.call("POST", path, body, bindingId=binding["bindingId"]) for _ in "12"]

    first, again = run_virtual(main())

    assert "Repeatability-Result" not in first.headers
    assert (again.status, again.headers["Repeatability-Result"]) == (200, "accepted")


def test_a_binding_that_never_had_a_version_is_revoked_in_silence() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        asked = await on.bind()
        return await on.revoke(asked["bindingId"]), on.told("SecretBound")

    revoked, events = run_virtual(main())

    assert (revoked["status"], events) == ("Revoked", [])


def test_the_end_of_an_environment_revokes_its_bindings_page_by_page() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        bound = [
            await on.bind(generator=RANDOM, moduleId=f"module-m{number}") for number in range(27)
        ]
        await on.hear(environment(2, gone=True))
        await on.hear(environment(1))
        refusal = await _refusal(on, generator=RANDOM)
        return [(await on.binding(each["bindingId"]))["status"] for each in bound], refusal

    statuses, refusal = run_virtual(main())

    assert set(statuses) == {"Revoked"}
    assert (len(statuses), refusal.code) == (27, "EnvironmentNotProvisioned")


def test_an_environment_of_the_same_name_begins_with_the_version_of_its_vault() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        first = await on.bind(generator=RANDOM)
        await on.hear(environment(2, gone=True))
        await on.vault.delete(NAME)
        await on.vault.purge(NAME)
        await on.hear(environment(3, generation=2))
        return first, await on.bind(generator=RANDOM)

    first, second = run_virtual(main())

    assert (second["status"], second["environmentId"]) == ("Bound", ENVIRONMENT)
    assert first["version"] != second["version"]


def test_no_value_leaves_the_vault() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.bind(generator=RANDOM)
        value = (await on.vault.get(NAME)).value.reveal()
        return value, await on.everything()

    value, texts = run_virtual(main())

    assert len(texts) >= 4
    assert not any(value in each for each in texts)
