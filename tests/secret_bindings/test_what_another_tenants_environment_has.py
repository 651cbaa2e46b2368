"""A tenant that is bound to another one's environment reaches no secret and no server of it."""

from typing import Any

import pytest

from shared.contracts.environments import EnvironmentFacts
from shared.kernel.errors import Refused
from shared.vault.port import SecretValue
from tests.kit.told import bound_tenant, environment
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import (
    NAME,
    PASSWORD,
    RANDOM,
    VAULT,
    SecretBindings,
    secret_bindings,
)


def _of_globex(revision: int, **how: Any) -> EnvironmentFacts:
    """Return an event of the environment, which globex owns."""
    return environment(revision, **how).model_copy(update={"owner_tenant_id": "globex"})


async def _guest() -> SecretBindings:
    """Return the service, which was told of globex's environment; its vault has a secret."""
    on = await secret_bindings(knows_environment=False)
    await on.hear(_of_globex(1))
    await on.set_by_hand("globex's own")
    return on


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        pytest.param({}, "VaultMissing", id="its-secret"),
        pytest.param({"generator": RANDOM}, "VaultMissing", id="its-secret-or-a-new-one"),
        pytest.param({"vaultUri": VAULT}, "VaultMissing", id="by-the-address-of-its-vault"),
        pytest.param(
            {"vaultUri": VAULT, "external": True}, "VaultOfAnEnvironment", id="as-an-external-one"
        ),
        pytest.param({"generator": PASSWORD}, "GeneratorNotSupported", id="a-login-at-its-server"),
        pytest.param(
            {"generator": PASSWORD, "vaultUri": VAULT},
            "GeneratorNotSupported",
            id="a-login-at-its-server-by-its-vault",
        ),
    ],
)
def test_what_the_owner_has_is_refused_by_name_and_stays_as_it_was(asked: Any, code: str) -> None:
    async def main() -> Any:
        on = await _guest()
        before = await on.vault.versions(NAME)
        with pytest.raises(Refused) as refused:
            await on.ask(**asked)
        done = await on.run_started()
        return refused.value.code, done, before, await on.vault.versions(NAME), on.passwords.logins

    found, done, before, after, logins = run_virtual(main())

    assert found == code
    assert done == []
    assert after == before
    assert not logins


def test_a_secret_of_a_vault_of_the_tenants_own_is_bound_there() -> None:
    async def main() -> Any:
        on = await _guest()
        uri = "https://acme-secrets.vault.localhost"
        on.vaults.at(uri)
        await on.vaults.vaults["acme-secrets"].set(NAME, SecretValue("acme's own"))
        return await on.bind(vaultUri=uri, external=True)

    binding = run_virtual(main())

    assert (binding["status"], binding["vaultUri"]) == (
        "Bound",
        "https://acme-secrets.vault.localhost",
    )


def test_the_owner_has_the_vault_of_its_environment() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.set_by_hand("acme's own")
        return await on.bind()

    assert run_virtual(main())["vaultUri"] == VAULT


def test_what_is_said_of_the_binding_of_another_tenant_changes_nothing() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        other = f"tb-{'a' * 12}-{'b' * 12}"
        await on.hear(bound_tenant(9, "Suspended", bindingId=other, aggregateId=other))
        return await on.bind(generator=RANDOM), await on.everything()

    binding, stored = run_virtual(main())

    assert binding["status"] == "Bound"
    assert any("is not the binding of acme" in each for each in stored)


def test_a_suspended_guest_is_told_to_ask_the_owner_to_resume_it() -> None:
    async def main() -> None:
        on = await _guest()
        await on.hear(bound_tenant(1, "Suspended", ownerTenantId="globex"))
        with pytest.raises(Refused, match="ask its owner to resume it") as refused:
            await on.ask(vaultUri="https://partner.vault.localhost", external=True)
        assert refused.value.code == "TenantSuspended"

    run_virtual(main())
