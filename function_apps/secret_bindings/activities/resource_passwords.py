"""Logins at the data resource of a secret: those of kind `databasePassword` are checked there."""

from collections.abc import Sequence

from function_apps.secret_bindings.errors import LoginNotRetired
from function_apps.secret_bindings.model.generators import user_of
from function_apps.secret_bindings.ports import SecretBindingsApp
from shared.contracts.secret_bindings import Generator
from shared.kernel.errors import NotFound
from shared.passwords.logins import LoginNotMade
from shared.passwords.port import PasswordResource
from shared.vault.port import SecretDisabled, SecretValue


async def new_value(
    generator: Generator, resource: PasswordResource, text: str, app: SecretBindingsApp
) -> SecretValue:
    """Return a connection string with a new login at *resource*, and *text* for its password."""
    return await app.passwords.new_value(resource, user_of(generator), SecretValue(text))


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


async def old_values(
    vault_uri: str, name: str, versions: Sequence[str], app: SecretBindingsApp, *, kept: str
) -> Sequence[SecretValue]:
    """Return the values of *versions* that a data resource is to refuse from now on.

    The one of the version *kept* is not among them: somebody set it again by hand.

    Raises:
        LoginNotRetired: one cannot be read, so nobody can say which login it has.
    """
    vault = app.vaults.at(vault_uri)
    new = (await vault.get(name, kept)).value
    values = []
    for version in versions:
        try:
            old = (await vault.get(name, version)).value
        except (NotFound, SecretDisabled) as problem:
            raise LoginNotRetired(name, version) from problem
        if old != new:
            values.append(old)
    return values


async def retire_login(
    resource: PasswordResource, value: SecretValue, app: SecretBindingsApp
) -> None:
    """Have *resource* refuse the login of *value*; none of ours is for who set it to end."""
    try:
        await app.passwords.retire(resource, value)
    except LoginNotMade:
        return
