"""Logins at the data resource of a secret: those of kind `databasePassword` are checked there."""

from function_apps.secret_bindings.model.generators import RESOURCE, USER
from function_apps.secret_bindings.ports import SecretBindingsApp
from shared.contracts.secret_bindings import Generator, GeneratorKind
from shared.kernel.ids import EnvironmentId
from shared.passwords.port import PasswordResource
from shared.vault.port import SecretValue


def resource_of(generator: Generator | None, environment_id: str) -> PasswordResource | None:
    """Return the data resource that checks what *generator* makes; None where there is none."""
    if generator is None or generator.kind is not GeneratorKind.DATABASE_PASSWORD:
        return None
    return PasswordResource(EnvironmentId(environment_id), generator.settings[RESOURCE])


async def new_value(
    generator: Generator, resource: PasswordResource, text: str, app: SecretBindingsApp
) -> SecretValue:
    """Return a connection string with a new login at *resource*, and *text* for its password."""
    user = generator.settings.get(USER, "consumer")
    return await app.passwords.new_value(resource, user, SecretValue(text))


async def set_login(
    resource: PasswordResource, vault_uri: str, name: str, version: str, app: SecretBindingsApp
) -> None:
    """Give *resource* the login that *version* of the secret has, beside those it has."""
    secret = await app.vaults.at(vault_uri).get(name, version)
    await app.passwords.set(resource, secret.value)


async def test_login(
    resource: PasswordResource, vault_uri: str, name: str, version: str, app: SecretBindingsApp
) -> None:
    """Log in at *resource* with *version* of the secret. Raises PasswordRefused."""
    secret = await app.vaults.at(vault_uri).get(name, version)
    await app.passwords.test(resource, secret.value)


async def retire_login(
    resource: PasswordResource,
    vault_uri: str,
    name: str,
    version: str,
    app: SecretBindingsApp,
    *,
    kept: str,
) -> None:
    """Have *resource* refuse the login that *version* of the secret has, from now on.

    But not where the version *kept* has the same login: somebody set it again by hand.
    """
    vault = app.vaults.at(vault_uri)
    old, new = await vault.get(name, version), await vault.get(name, kept)
    if old.value != new.value:
        await app.passwords.retire(resource, old.value)
