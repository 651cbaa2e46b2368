"""The version of a secret that a module which is bound to it is given. Pure."""

from collections.abc import Collection, Sequence

from function_apps.secret_bindings.errors import SecretHasNoVersion
from shared.contracts.secret_bindings import Generator
from shared.vault.port import SecretDisabled, SecretProperties


def newest_enabled(versions: Sequence[SecretProperties]) -> SecretProperties | None:
    """Return the first of *versions*, newest first, that is enabled; None where none is."""
    return next((each for each in versions if each.enabled), None)


def usable_version(
    versions: Sequence[SecretProperties],
    in_force: str | None,
    name: str,
    generator: Generator | None,
    failed: Collection[str] = (),
) -> SecretProperties | None:
    """Return the version *in_force* of *name*, or the newest that is enabled.

    One to which a rotation *failed* is taken only where there is no other. None where *generator*
    is to make the first one.

    Raises:
        SecretDisabled: the version in force is not enabled: others may have it all the same.
        SecretHasNoVersion: there is none, and no generator.
    """
    if in_force is None:
        others = [each for each in versions if each.version not in failed]
        newest = newest_enabled(others) or newest_enabled(versions)
        if newest is None and generator is None:
            raise SecretHasNoVersion(name)
        return newest
    found = next((each for each in versions if each.version == in_force and each.enabled), None)
    if found is None:
        raise SecretDisabled(
            f"version {in_force} of {name} is in force and is disabled, or gone: enable or recover"
            " it, or rotate the secret"
        )
    return found
